/* ptx_device.h: PTX's operations for translated kernels. Approximate instructions are computed as
 * exactly as the host's library does, subnormals and the rounding directions follow PTX. */
#ifndef CUDASIM_PTX_DEVICE_H
#define CUDASIM_PTX_DEVICE_H

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>

#include "checker.h"
#include "engine.h"
#include "kernel.h"
#include "ptx_kernels.h"

namespace {

[[maybe_unused]] uint32_t carry, no_carry; /* of add.cc and its kin: set and read by one thread,
                                              without a meeting between */

/* ---- bits and memory -------------------------------------------------------------------- */

template <class To, class From> inline To bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof(to));
    return to;
}

template <class T> inline T load(const char *at) {
    T value;
    memcpy(&value, at, sizeof(value));
    return value;
}

template <class T> inline void store(char *at, T value) { memcpy(at, &value, sizeof(value)); }

inline char *pointer(uint64_t word) { return reinterpret_cast<char *>(word); }
inline char *shared_at(uint32_t offset) {
    return static_cast<char *>(cudasim::dynamic_shared()) + offset;
}
inline uint64_t shared_offset(uint64_t generic) {
    return generic - reinterpret_cast<uint64_t>(cudasim::dynamic_shared());
}
inline bool is_shared(uint64_t generic) { return shared_offset(generic) < 256 * 1024; }

[[noreturn]] inline void fail_at(const char *what, const char *file, int line) {
    cudasim::fail(std::string(what) + " at " + file + ":" + std::to_string(line));
}

/* ---- integers --------------------------------------------------------------------------- */

template <class T> inline T multiply_low(T a, T b) {
    using U = std::make_unsigned_t<T>;
    return (T)((uint64_t)(U)a * (uint64_t)(U)b);
}

template <class T> inline T multiply_high(T a, T b) {
    using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
    return (T)((Wide)a * (Wide)b >> (8 * sizeof(T)));
}

template <class T> inline T add_carry(T a, T b, uint32_t carry_in, uint32_t &carry_out) {
    unsigned __int128 sum = (unsigned __int128)a + b + carry_in;
    carry_out = (uint32_t)(sum >> (8 * sizeof(T)));
    return (T)sum;
}

template <class T> inline T sub_carry(T a, T b, uint32_t carry_in, uint32_t &carry_out) {
    unsigned __int128 difference = (unsigned __int128)a - b - carry_in;
    carry_out = (uint32_t)(difference >> (8 * sizeof(T))) & 1u;
    return (T)difference;
}

/** Division as the hardware's routine has it: by zero all bits are set, nothing traps. */
template <class T> inline T divide(T a, T b) {
    if (b == 0)
        return (T)~T();
    if (std::is_signed_v<T> && b == (T)-1)
        return (T)(0 - (std::make_unsigned_t<T>)a);
    return (T)(a / b);
}

template <class T> inline T remainder(T a, T b) {
    if (b == 0)
        return a;
    return std::is_signed_v<T> && b == (T)-1 ? T() : (T)(a % b);
}

template <class T> inline T shift_left(T a, uint32_t by) {
    return by >= 8 * sizeof(T) ? T() : (T)(a << by);
}

template <class T> inline T shift_right(T a, uint32_t by) {
    uint32_t most = 8 * sizeof(T) - 1;
    if (by > most)
        return std::is_signed_v<T> ? (T)(a >> most) : T();
    return (T)(a >> by);
}

inline uint32_t count_ones(uint64_t a) { return (uint32_t)__builtin_popcountll(a); }
inline uint32_t leading_zeros(uint32_t a) { return a ? (uint32_t)__builtin_clz(a) : 32; }
inline uint32_t leading_zeros(uint64_t a) { return a ? (uint32_t)__builtin_clzll(a) : 64; }

template <class T> inline T reverse_bits(T a) {
    T result = 0;
    for (unsigned i = 0; i < 8 * sizeof(T); i++)
        result = (T)(result << 1 | (a >> i & 1u));
    return result;
}

/** Position of the highest bit that differs from the sign; all bits set where there is none. */
template <class T> inline uint32_t highest_bit(T a) {
    if (std::is_signed_v<T> && a < 0)
        a = (T)~a;
    uint64_t word = (uint64_t)(std::make_unsigned_t<T>)a;
    return word ? 63 - leading_zeros(word) : ~0u;
}

inline uint32_t shift_to_highest(uint32_t found, uint32_t width) {
    return found == ~0u ? found : width - 1 - found;
}

template <class T> inline T extract_bits(T a, uint32_t position, uint32_t length) {
    const uint32_t width = 8 * sizeof(T);
    position &= 0xFF;
    length &= 0xFF;
    if (length == 0)
        return 0;
    uint64_t sign_at = std::min(position + length - 1, width - 1);
    bool sign = std::is_signed_v<T> && ((uint64_t)a >> sign_at & 1u);
    uint64_t field = position < width ? (uint64_t)(std::make_unsigned_t<T>)a >> position : 0;
    uint64_t kept = length >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << length) - 1;
    uint32_t there = position < width ? width - position : 0; /* bits of the field that exist */
    uint64_t real = there >= 64 ? kept : kept & ((UINT64_C(1) << there) - 1);
    return (T)((field & real) | (sign ? ~real : 0));
}

template <class T> inline T insert_bits(T a, T into, uint32_t position, uint32_t length) {
    const uint32_t width = 8 * sizeof(T);
    position &= 0xFF;
    length &= 0xFF;
    if (position >= width || length == 0)
        return into;
    uint64_t ones = length >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << length) - 1;
    uint64_t mask = ones << position;
    return (T)(((uint64_t)a << position & mask) | (into & ~mask));
}

inline uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t choice) {
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t pick = choice >> 4 * i & 0xF;
        uint32_t byte = (uint32_t)(bytes >> 8 * (pick & 7)) & 0xFF;
        if (pick & 8)
            byte = byte & 0x80 ? 0xFF : 0;
        result |= byte << 8 * i;
    }
    return result;
}

inline uint32_t logic_of_three(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
    uint32_t result = 0;
    for (unsigned i = 0; i < 8; i++)
        if (table >> i & 1u)
            result |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
    return result;
}

template <bool left, bool wrap>
inline uint32_t funnel_shift(uint32_t low, uint32_t high, uint32_t by) {
    uint64_t both = (uint64_t)high << 32 | low;
    by = wrap ? by & 31 : std::min(by, 32u);
    return left ? (uint32_t)(both << by >> 32) : (uint32_t)(both >> by);
}

/* ---- floating point --------------------------------------------------------------------- */

struct Add {
    template <class T> T operator()(T a, T b) const { return a + b; }
};
struct Subtract {
    template <class T> T operator()(T a, T b) const { return a - b; }
};
struct Multiply {
    template <class T> T operator()(T a, T b) const { return a * b; }
};
struct FusedMultiplyAdd {
    template <class T> T operator()(T a, T b, T c) const { return std::fma(a, b, c); }
};
struct Divide {
    template <class T> T operator()(T a, T b) const { return a / b; }
};
struct SquareRoot {
    template <class T> T operator()(T a) const { return std::sqrt(a); }
};
struct Reciprocal {
    template <class T> T operator()(T a) const { return 1 / a; }
};
struct Negate {
    template <class T> T operator()(T a) const { return -a; }
};
struct Absolute {
    template <class T> T operator()(T a) const { return std::fabs(a); }
};
/** The number where the other is a NaN; -0 is less than +0. */
struct Minimum {
    template <class T> T operator()(T a, T b) const {
        if (a == b)
            return std::signbit(a) ? a : b;
        return std::fmin(a, b);
    }
};
struct Maximum {
    template <class T> T operator()(T a, T b) const {
        if (a == b)
            return std::signbit(a) ? b : a;
        return std::fmax(a, b);
    }
};
template <class To> struct ConvertTo {
    template <class From> To operator()(From a) const { return (To)a; }
};

template <class F, class T> inline T nan_or(F f, T a, T b) {
    return std::isunordered(a, b) ? std::numeric_limits<T>::quiet_NaN() : f(a, b);
}

/** An operation in another rounding direction. Volatile, so that nothing
 * moves over the switches. */
template <class F, class... T> inline auto rounded(unsigned direction, F f, T... operands) {
    unsigned saved = _mm_getcsr();
    _mm_setcsr((saved & ~(unsigned)_MM_ROUND_MASK) | direction);
    volatile auto result = [&](const volatile T &...held) { return f((T)held...); }(operands...);
    _mm_setcsr(saved);
    return (decltype(f(operands...)))result;
}

inline float flush(float a) {
    return std::fpclassify(a) == FP_SUBNORMAL ? std::copysign(0.0f, a) : a;
}

template <class T> inline T saturate(T a) { return a > 1 ? T(1) : a > 0 ? a : T(0); }

/** The upper 32 bits of a double, as the approximate instructions of f64 read and give them;
 * subnormals are 0. */
inline double upper_word(double a) {
    if (std::fpclassify(a) == FP_SUBNORMAL)
        return std::copysign(0.0, a);
    return bits<double>(bits<uint64_t>(a) & ~UINT64_C(0xFFFFFFFF));
}

/** An integer from a rounded number: the nearest that the type has, 0 from a NaN. */
template <class T, class F> inline T to_integer(F a) {
    if (std::isnan(a))
        return sizeof(T) == 8 ? (T)(UINT64_C(1) << 63) : T();
    if (a <= (F)std::numeric_limits<T>::min())
        return std::numeric_limits<T>::min();
    return a >= (F)std::numeric_limits<T>::max() ? std::numeric_limits<T>::max() : (T)a;
}

template <class To, class From> inline To saturate_to(From a) {
    __int128 wide = a, low = std::numeric_limits<To>::min(), high = std::numeric_limits<To>::max();
    return (To)std::max(low, std::min(high, wide));
}

/* ---- 16-bit numbers: computed in double, rounded once more ------------------------------ */

struct Half {
    static float value(uint16_t half) { return _cvtsh_ss(half); }
    static uint16_t bits(double a) { return _cvtss_sh((float)a, _MM_FROUND_TO_NEAREST_INT); }
};

struct Bfloat {
    static float value(uint16_t half) { return ::bits<float>((uint32_t)half << 16); }
    static uint16_t bits(double a) {
        if (std::isnan(a))
            return 0x7FFF;
        uint32_t word = ::bits<uint32_t>((float)a);
        return (uint16_t)((word + 0x7FFF + (word >> 16 & 1u)) >> 16);
    }
};

template <class Form, class F, class... Halves> inline uint16_t apply(F f, Halves... halves) {
    return Form::bits(f((double)Form::value((uint16_t)halves)...));
}

template <class Form, class F, class... Pairs> inline uint32_t apply_pair(F f, Pairs... pairs) {
    uint32_t high = apply<Form>(f, (pairs >> 16)...);
    return high << 16 | apply<Form>(f, pairs...);
}

/* ---- warps ------------------------------------------------------------------------------ */

inline uint32_t warp_id() {
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) / 32;
}

inline void meet(uint32_t mask, uint64_t word, cudasim::WarpOp op, const char *file, int line) {
    unsigned present;
    cudasim::warp_exchange(mask, word, op, &present, file, line);
}

enum class Shuffle { up, down, bfly, idx };

/** shfl.sync. `clamp` holds the last lane of a segment, and in bits 8 to 12 which bits of a lane
 * name its segment. All bits set from a lane that takes no part, which on hardware is undefined. */
inline uint32_t shuffle(Shuffle mode, uint32_t mask, uint32_t value, uint32_t by, uint32_t clamp,
                        bool *inside, const char *file, int line) {
    int lane = (int)cudasim::lane_id(), step = (int)(by & 31);
    int segment = (int)(clamp >> 8 & 31), last = (int)(clamp & 31);
    int most = (lane & segment) | (last & ~segment), least = lane & segment;
    int source = mode == Shuffle::up     ? lane - step
                 : mode == Shuffle::down ? lane + step
                 : mode == Shuffle::bfly ? lane ^ step
                                         : least | (step & ~segment);
    *inside = mode == Shuffle::up ? source >= most : source <= most;
    unsigned present;
    const uint64_t *words =
        cudasim::warp_exchange(mask, value, cudasim::WarpOp::shuffle, &present, file, line);
    if (!*inside)
        return value;
    return present >> source & 1u ? (uint32_t)words[source] : ~0u;
}

struct Ballot {
    uint32_t yes, present;
};

inline Ballot vote(uint32_t mask, bool predicate, const char *file, int line) {
    unsigned present;
    const uint64_t *words =
        cudasim::warp_exchange(mask, predicate, cudasim::WarpOp::vote, &present, file, line);
    Ballot ballot = {0, present};
    for (unsigned lane = 0; lane < 32; lane++)
        if (present >> lane & 1u && words[lane])
            ballot.yes |= 1u << lane;
    return ballot;
}

inline uint32_t match_any(uint32_t mask, uint64_t value, const char *file, int line) {
    unsigned present;
    const uint64_t *words =
        cudasim::warp_exchange(mask, value, cudasim::WarpOp::vote, &present, file, line);
    uint32_t lanes = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        if (present >> lane & 1u && words[lane] == value)
            lanes |= 1u << lane;
    return lanes;
}

inline uint32_t match_all(uint32_t mask, uint64_t value, const char *file, int line) {
    return match_any(mask, value, file, line) == mask ? mask : 0;
}

template <class T, class F>
inline T reduce(uint32_t mask, T value, F f, const char *file, int line) {
    unsigned present;
    const uint64_t *words = cudasim::warp_exchange(mask, (uint64_t)value, cudasim::WarpOp::reduce,
                                                   &present, file, line);
    bool first = true;
    T result = value;
    for (unsigned lane = 0; lane < 32; lane++) {
        if (!(present >> lane & 1u))
            continue;
        result = first ? (T)words[lane] : f(result, (T)words[lane]);
        first = false;
    }
    return result;
}

} // namespace
#endif
