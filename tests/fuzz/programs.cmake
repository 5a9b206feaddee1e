# What programs read from files: the targets have the sources of the examples and of the benchmark program, each
# main() under a name of its own.

# A main() by another name has no prototype.
function(rename_main program)
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_DEFINITIONS main=${program}_main
                                COMPILE_OPTIONS -Wno-missing-prototypes)
endfunction()

set(examples ${PROJECT_SOURCE_DIR}/examples)
file(GLOB common CONFIGURE_DEPENDS ${examples}/common/*.c)
list(REMOVE_ITEM common ${examples}/common/standard_streams.c) # the process is the fuzzer's: fuzz_model.c stands in
target_sources(fuzz_model PRIVATE ${common})
target_include_directories(fuzz_model PRIVATE ${examples}/common)
target_compile_definitions(fuzz_model PRIVATE EXAMPLES_DIR="${examples}")
foreach(program mnist text_classification forecasting)
    file(GLOB sources CONFIGURE_DEPENDS ${examples}/${program}/*.c)
    rename_main(${program} ${sources})
    target_sources(fuzz_model PRIVATE ${sources})
endforeach()

file(GLOB bench CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/benchmarks/*.c)
rename_main(bench ${PROJECT_SOURCE_DIR}/benchmarks/quern_bench.c)
target_sources(fuzz_bench PRIVATE ${bench} op_in_place.c ${examples}/mnist/mnist_networks.c
               ${examples}/text_classification/text_networks.c ${examples}/forecasting/forecast_networks.c
               ${examples}/forecasting/forecast_deepar.c ${examples}/common/standard_streams.c)
target_include_directories(fuzz_bench PRIVATE ${PROJECT_SOURCE_DIR}/benchmarks ${examples}/mnist ${examples}/common
                           ${examples}/text_classification ${examples}/forecasting)
target_compile_definitions(fuzz_bench PRIVATE BENCH_DATA="${examples}"
                           BENCH_INSTANCES="${PROJECT_SOURCE_DIR}/benchmarks/instances.tsv")
