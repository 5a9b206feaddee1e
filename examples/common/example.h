/* example.h: what the example programs share: command line, exit codes, data folder, training.
 *
 * A program is `NAME train|evaluate|predict [OPTION...]`. It describes itself by an example_program
 * and leaves its main() to example_main(). Each failure is one line on stderr and an exit code. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <quern.h>

enum {
    EXAMPLE_OK = 0,
    EXAMPLE_FAILED = 1,     /**< memory or a device gave out */
    EXAMPLE_BAD_INPUT = 2,  /**< options, files or data */
    EXAMPLE_SIGNALLED = 128 /**< and the signal's number: 130 for Ctrl-C, 143 for SIGTERM */
};

/** The commands, as bits: options tell for which they are. */
enum { EXAMPLE_TRAIN = 1, EXAMPLE_EVALUATE = 2, EXAMPLE_PREDICT = 4 };

/** Most options that a program has besides the common ones. */
#define EXAMPLE_OWN 24

/** The command line. Numbers are 0 and texts NULL where not given, but for those with a default. */
typedef struct example_options {
    int command;
    const char *data, *model;
    int epochs;
    int64_t batch_size;
    double lr;
    uint64_t seed;          /**< default 1 */
    int threads;            /**< 0: all there are */
    const char *device;     /**< default "auto" */
    qn_precision precision; /**< of products and convolutions */
    const char *save, *load, *checkpoint, *resume, *log, *report, *tensorboard;
    const char *verify; /**< a file to be checked, in place of a command */
    bool quiet, json;
    const char *own[EXAMPLE_OWN]; /**< the program's own options; "" for a flag that is set */
    double number[EXAMPLE_OWN];   /**< their values, of those that are numbers */
    char **inputs;                /**< what is to be predicted */
    int input_count;
    int argc; /**< as main() got them */
    char **argv;
} example_options;

/** An option of one program alone. */
typedef struct example_option {
    const char *name, *value, *words; /**< value: what the help calls it; NULL for a flag */
    int commands;
} example_option;

typedef enum example_kind {
    EXAMPLE_TEXT,    /**< anything but nothing */
    EXAMPLE_INTEGER, /**< a whole number from `least` to `most` */
    EXAMPLE_REAL,    /**< a number from `least` to `most` */
    EXAMPLE_CHOICE   /**< one of `choices` */
} example_kind;

/** What an option's value must be. */
typedef struct example_rule {
    example_kind kind;
    double least, most;
    const char *const *choices; /**< ends with NULL */
} example_rule;

/** What a program does for one of the commands, on an opened context. Returns an exit code. */
typedef int (*example_command)(const example_options *options, qn_context *ctx);

/** A program. Lists end with NULL; the first model is the default. */
typedef struct example_program {
    const char *name;
    const char *summary;
    const char *inputs;   /**< what predict takes, "IMAGE..." */
    bool may_lack_inputs; /**< predict without any is left to the program */
    const char *const *models;
    example_option own[EXAMPLE_OWN];
    example_rule rules[EXAMPLE_OWN]; /**< of the values of those; without one: text */
    example_command train, evaluate, predict;
} example_program;

/** Parses the command line and runs the program. Returns the exit code of main(). */
int example_main(const example_program *program, int argc, char **argv);

/** Prints "NAME: message" on stderr and returns EXAMPLE_BAD_INPUT. */
int example_error(const char *format, ...) QN_PRINTF(1, 2);
/** The same for a call of the system that failed with this errno: the reason in words follows.
 * Where that is memory the exit code is EXAMPLE_FAILED. */
int example_io_error(int error, const char *format, ...) QN_PRINTF(2, 3);
/** Prints a context's error, if it has one, and returns the exit code for it. */
int example_status(const qn_context *ctx);

/** Prints what was guessed of a file, a line each with the program's name, on stderr. */
void example_notes(const char *notes);

/** Opens a context on the device, with the threads, the seed and the precision that the options
 * name. Returns the exit code; the context is to be freed either way. */
int example_open(const example_options *options, qn_context **ctx);

/** Whether something was piped or redirected to the program: a pipe or a file, no terminal. */
bool example_has_stdin(void);

/** A file or folder that an option names; "-", standard input, stays as it is. `path` if it is
 * there, else $QUERN_DATA_DIR/path if that is, else `path` again, to fail by its name. Written to
 * `out`, which is returned. */
const char *example_data_path(const char *path, char *out, size_t size);

/** The folder of the data: --data, else $QUERN_DATA_DIR/NAME if it is there, else
 * examples/NAME/data here or in the source tree. Written to `out`, which is returned. */
const char *example_data_folder(const example_options *options, char *out, size_t size);

/** Trains with qn_fit(): the options' files, progress and Ctrl-C are added to `opts`. Where opts
 * has no validation set, each epoch is evaluated on `test`. Prints the result and where things are.
 * Returns the exit code. */
int example_fit(const example_options *options, qn_module *module, qn_dataset *train,
                qn_dataset *test, qn_fit_opts opts);
/** Prints the command that continues a run: the one it was started with, and --resume. */
void example_print_resume(const example_options *options, const char *checkpoint);
/** Prints loss and accuracy on a test set, as text or JSON. Returns the exit code. */
int example_evaluate(const example_options *options, qn_module *module, qn_dataset *test);
/** Writes a text as a JSON string. */
void example_json_text(FILE *out, const char *text);
/** A number as the shortest text that reads back as it: "0.1". */
const char *example_number_text(double value, char out[32]);
/** The same for a number of f32, which needs fewer digits. */
const char *example_float_text(float value, char out[32]);
/** Writes a number of JSON, shortest text; null where it is not finite,
 * which JSON has no word for. */
void example_json_number(FILE *out, double value);
/** Writes ", "key": value" of a JSON object. */
void example_json_member(FILE *out, const char *key, double value);
/** A measure for people: four decimals, or five digits where those would show nothing; "-" where
 * it is not defined. */
const char *example_measure_text(double value, char out[32]);

#endif
