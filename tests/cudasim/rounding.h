/* rounding.h: f32 numbers rounded to the formats of tensor cores, to nearest, ties to even;
 * bfloat16 as it is stored. */
#ifndef CUDASIM_ROUNDING_H
#define CUDASIM_ROUNDING_H

#include <cmath>
#include <cstdint>
#include <cstring>

namespace cudasim {

/** Drops the lowest `bits` bits of the mantissa. NaN and infinity stay what they are. */
inline float round_mantissa(float value, int bits) {
    uint32_t word;
    if (!std::isfinite(value))
        return value;
    memcpy(&word, &value, sizeof(word));
    uint32_t half = 1u << (bits - 1), odd = word >> bits & 1u;
    word = (word + half - 1 + odd) >> bits << bits;
    memcpy(&value, &word, sizeof(word));
    return value;
}

inline float round_tf32(float value) { return round_mantissa(value, 13); }

inline float round_bf16(float value) { return round_mantissa(value, 16); }

/** A number stored as bfloat16. NaN stays NaN. */
class bf16 {
  public:
    bf16() = default;
    explicit bf16(double value) {
        uint32_t word;
        const float nearest = round_bf16((float)value);
        memcpy(&word, &nearest, sizeof(word));
        bits_ = (uint16_t)(word >> 16 | (std::isnan(nearest) ? 0x40u : 0u));
    }
    operator float() const {
        const uint32_t word = (uint32_t)bits_ << 16;
        float value;
        memcpy(&value, &word, sizeof(value));
        return value;
    }

  private:
    uint16_t bits_ = 0;
};

inline float round_f16(float value) {
    constexpr float most = 65504, past_most = 65520, least_normal = 6.103515625e-05f;
    float size = std::fabs(value);
    if (size < least_normal) /* denormals step by 2^-24 */
        return std::nearbyint(value * 16777216.0f) / 16777216.0f;
    if (size >= past_most)
        return value > 0 ? INFINITY : -INFINITY;
    return size > most && size < past_most ? std::copysign(most, value) : round_mantissa(value, 13);
}

} // namespace cudasim
#endif
