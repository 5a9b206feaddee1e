/* amx_emulator.c: decodes and executes AMX instructions on SIGILL (README.md).
 *
 * What they do follows the Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2,
 * and the encoding of a VEX prefix of three bytes:
 *
 *     C4  ~R ~X ~B mmmmm   W ~vvvv L pp   opcode   ModRM  [SIB]  [displacement] */
#define _GNU_SOURCE
#include "amx_emulator.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <xmmintrin.h>

enum { TILES = 8, MAX_ROWS = 16, ROW_BYTES = 64, CONFIG_BYTES = 64 };

typedef struct tile {
    int rows, row_bytes; /* 0: not configured */
    uint8_t data[MAX_ROWS][ROW_BYTES] __attribute__((aligned(64)));
} tile;

static _Thread_local tile tiles[TILES];
static _Thread_local bool configured;
static atomic_ulong executed;
static struct sigaction before;

/* ---- decoding ------------------------------------------------------------------------------ */

enum { PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2 };

typedef struct instruction {
    int opcode, prefix, reg, rm, vvvv;
    bool in_memory, indexed;
    uintptr_t base, index; /* the address is base + index; index is scaled */
    int length;
} instruction;

/* A general register by its number in instructions. */
static uintptr_t general(const greg_t *registers, int number) {
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15};
    return (uintptr_t)registers[order[number]];
}

static intptr_t displacement32(const uint8_t *at) {
    int32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

/* Reads a memory operand whose ModRM byte is at `at`; returns the byte behind it. */
static const uint8_t *decode_memory(const greg_t *registers, const uint8_t *at, int x, int b,
                                    instruction *out) {
    const int mode = *at >> 6, rm = *at & 7;
    at++;
    bool has_base = true;
    int base = rm | b << 3;
    if (rm == 4) {
        const int scale = *at >> 6, index = (*at >> 3 & 7) | x << 3;
        base = (*at & 7) | b << 3;
        has_base = (*at & 7) != 5 || mode != 0;
        out->indexed = true;
        out->index = index == 4 ? 0 : general(registers, index) << scale;
        at++;
    } else if (rm == 5 && mode == 0) { /* from the instruction's end: its four bytes are the last */
        out->base = (uintptr_t)(at + 4) + (uintptr_t)displacement32(at);
        return at + 4;
    }
    out->base = has_base ? general(registers, base) : 0;
    if (mode == 1) {
        out->base += (uintptr_t)(intptr_t)(int8_t)*at;
        return at + 1;
    }
    if (mode == 2 || !has_base) {
        out->base += (uintptr_t)displacement32(at);
        return at + 4;
    }
    return at;
}

/* Whether there is an instruction in the space of AMX: map 0F38, W 0, L 0. */
static bool decode(const greg_t *registers, const uint8_t *code, instruction *out) {
    enum { VEX3 = 0xc4, MAP_0F38 = 2 };
    *out = (instruction){0};
    if (code[0] != VEX3 || (code[1] & 0x1f) != MAP_0F38 || (code[2] & 0x84) != 0)
        return false;
    const int r = !(code[1] & 0x80), x = !(code[1] & 0x40), b = !(code[1] & 0x20);
    out->vvvv = ~code[2] >> 3 & 15;
    out->prefix = code[2] & 3;
    out->opcode = code[3];
    out->reg = (code[4] >> 3 & 7) | r << 3;
    out->rm = (code[4] & 7) | b << 3;
    out->in_memory = code[4] < 0xc0;
    const uint8_t *end = out->in_memory ? decode_memory(registers, code + 4, x, b, out) : code + 5;
    out->length = (int)(end - code);
    return true;
}

/* The memory that an operand names. */
static void *memory_at(uintptr_t address) {
    union {
        uintptr_t number;
        void *pointer;
    } at = {address};
    return at.pointer;
}

/* ---- executing ----------------------------------------------------------------------------- */

/* Each returns whether the instruction is allowed; a processor would raise a fault. */

static bool load_config(const instruction *i) {
    uint8_t bytes[CONFIG_BYTES];
    memcpy(bytes, memory_at(i->base + i->index), sizeof(bytes));
    if (bytes[0] > 1)
        return false;
    for (int at = 2; at < 16; at++) /* reserved */
        if (bytes[at])
            return false;
    memset(tiles, 0, sizeof(tiles));
    configured = bytes[0] == 1;
    for (int t = 0; t < TILES && configured; t++) {
        const int row_bytes = bytes[16 + 2 * t] | bytes[17 + 2 * t] << 8, rows = bytes[48 + t];
        if (row_bytes > ROW_BYTES || rows > MAX_ROWS || !row_bytes != !rows)
            return false;
        tiles[t].row_bytes = row_bytes;
        tiles[t].rows = rows;
    }
    return true;
}

static bool release(void) {
    memset(tiles, 0, sizeof(tiles));
    configured = false;
    return true;
}

static tile *usable(int number) {
    return configured && number < TILES && tiles[number].rows ? &tiles[number] : NULL;
}

static bool zero(const instruction *i) {
    tile *t = usable(i->reg);
    if (t)
        memset(t->data, 0, sizeof(t->data));
    return t != NULL;
}

static bool load(const instruction *i) {
    tile *t = usable(i->reg);
    if (!t || !i->indexed)
        return false;
    memset(t->data, 0, sizeof(t->data));
    for (int row = 0; row < t->rows; row++)
        memcpy(t->data[row], memory_at(i->base + (uintptr_t)row * i->index), (size_t)t->row_bytes);
    return true;
}

static bool store(const instruction *i) {
    const tile *t = usable(i->reg);
    if (!t || !i->indexed)
        return false;
    for (int row = 0; row < t->rows; row++)
        memcpy(memory_at(i->base + (uintptr_t)row * i->index), t->data[row], (size_t)t->row_bytes);
    return true;
}

/* Number `at` of a row of bfloat16. */
static float number_at(const uint8_t *row, int at) {
    const uint32_t bits = (uint32_t)row[2 * at] << 16 | (uint32_t)row[2 * at + 1] << 24;
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* One element: products of even and of odd numbers are summed apart, each rounded as it is added;
 * their sum is added to c. */
__attribute__((target("fma"))) static float dot(const tile *a, int row, const tile *b, int column,
                                                float c) {
    float even = 0, odd = 0;
    for (int pair = 0; pair < b->rows; pair++) {
        const uint8_t *left = a->data[row], *right = b->data[pair];
        even = __builtin_fmaf(number_at(left, 2 * pair), number_at(right, 2 * column), even);
        odd = __builtin_fmaf(number_at(left, 2 * pair + 1), number_at(right, 2 * column + 1), odd);
    }
    return c + (even + odd);
}

static bool multiply(const instruction *i) {
    tile *c = usable(i->reg);
    const tile *a = usable(i->rm), *b = usable(i->vvvv);
    if (!c || !a || !b || c == a || c == b || a == b || c->rows != a->rows ||
        c->row_bytes != b->row_bytes || a->row_bytes != 4 * b->rows || c->row_bytes % 4 != 0)
        return false;
    for (int row = 0; row < c->rows; row++)
        for (int column = 0; column < c->row_bytes / 4; column++) {
            float value;
            memcpy(&value, &c->data[row][4 * column], sizeof(value));
            value = dot(a, row, b, column, value);
            memcpy(&c->data[row][4 * column], &value, sizeof(value));
        }
    return true;
}

static bool execute(const instruction *i) {
    const bool memory = i->in_memory;
    switch (i->opcode << 8 | i->prefix) {
    case 0x49 << 8 | PREFIX_NONE: /* ldtilecfg, tilerelease */
        if (i->reg != 0 || i->vvvv != 0)
            return false;
        return memory ? load_config(i) : i->rm == 0 && release();
    case 0x49 << 8 | PREFIX_F2:
        return !memory && i->rm == 0 && zero(i);
    case 0x4b << 8 | PREFIX_F2: /* tileloadd */
    case 0x4b << 8 | PREFIX_66: /* tileloaddt1: the same, with a hint */
        return memory && load(i);
    case 0x4b << 8 | PREFIX_F3:
        return memory && store(i);
    case 0x5c << 8 | PREFIX_F3: /* tdpbf16ps */
        return !memory && multiply(i);
    default:
        return false;
    }
}

/* ---- the handler --------------------------------------------------------------------------- */

static void on_illegal(int signal, siginfo_t *info, void *context) {
    enum { NEAREST_DENORMALS_ARE_ZERO = 0x9fc0 }; /* what tiles compute with, whatever MXCSR says */
    (void)signal;
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    instruction next;
    _mm_setcsr(NEAREST_DENORMALS_ARE_ZERO); /* the frame brings the program's own back */
    if (decode(registers, memory_at((uintptr_t)registers[REG_RIP]), &next) && execute(&next)) {
        registers[REG_RIP] += next.length;
        atomic_fetch_add_explicit(&executed, 1, memory_order_relaxed);
        return;
    }
    sigaction(SIGILL, &before, NULL); /* traps again, and meets that */
}

void amx_emulator_install(void) {
    struct sigaction action = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGILL, &action, &before);
}

unsigned long amx_emulator_count(void) { return atomic_load(&executed); }
