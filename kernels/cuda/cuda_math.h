/* cuda_math.h: functions of float and double under one name each, so that a kernel is written once
 * for both. */
#ifndef QN_CUDA_MATH_H
#define QN_CUDA_MATH_H

#include "gpu.h"

__device__ inline float m_exp(float x) { return expf(x); }
__device__ inline double m_exp(double x) { return exp(x); }
__device__ inline float m_log(float x) { return logf(x); }
__device__ inline double m_log(double x) { return log(x); }
__device__ inline float m_log1p(float x) { return log1pf(x); }
__device__ inline double m_log1p(double x) { return log1p(x); }
__device__ inline float m_sqrt(float x) { return sqrtf(x); }
__device__ inline double m_sqrt(double x) { return sqrt(x); }
__device__ inline float m_pow(float x, float y) { return powf(x, y); }
__device__ inline double m_pow(double x, double y) { return pow(x, y); }
__device__ inline float m_tanh(float x) { return tanhf(x); }
__device__ inline double m_tanh(double x) { return tanh(x); }
__device__ inline float m_erfc(float x) { return erfcf(x); }
__device__ inline double m_erfc(double x) { return erfc(x); }
__device__ inline float m_abs(float x) { return fabsf(x); }
__device__ inline double m_abs(double x) { return fabs(x); }
__device__ inline float m_cos_turns(float x) { return cospif(2 * x); }
__device__ inline double m_cos_turns(double x) { return cospi(2 * x); }
__device__ inline float m_sin_turns(float x) { return sinpif(2 * x); }
__device__ inline double m_sin_turns(double x) { return sinpi(2 * x); }

/** 1 / (1 + e^-x) */
template <class T> __device__ inline T m_sigmoid(T x) { return 1 / (1 + m_exp(-x)); }

/** Negative infinity, and a number that is none. */
template <class T> __device__ inline T m_lowest() { return -(T)INFINITY; }
template <class T> __device__ inline T m_nan() { return (T)NAN; }

#endif
