/* command_line.c: options and commands, parsed by argp. */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "example_private.h"

#define ALL (EXAMPLE_TRAIN | EXAMPLE_EVALUATE | EXAMPLE_PREDICT)

/* Keys of argp, beyond those that could be letters; a program's own follow. */
enum {
    KEY_DATA = 256,
    KEY_MODEL,
    KEY_EPOCHS,
    KEY_BATCH_SIZE,
    KEY_LR,
    KEY_SEED,
    KEY_THREADS,
    KEY_DEVICE,
    KEY_PRECISION,
    KEY_SAVE,
    KEY_LOAD,
    KEY_CHECKPOINT,
    KEY_RESUME,
    KEY_LOG,
    KEY_REPORT,
    KEY_TENSORBOARD,
    KEY_QUIET,
    KEY_JSON,
    KEY_HELP,
    KEY_VERSION,
    KEY_VERIFY,
    KEY_OWN,
    KEY_END = KEY_OWN + EXAMPLE_OWN
};
enum { COMMON = KEY_OWN - KEY_DATA, KEYS = KEY_END - KEY_DATA };

/* The common options, by key. */
static const example_option common[COMMON] = {
    {"data", "DIR", "folder of the dataset", EXAMPLE_TRAIN | EXAMPLE_EVALUATE},
    {"model", "NAME", "network to train", EXAMPLE_TRAIN},
    {"epochs", "N", "passes over the training set", EXAMPLE_TRAIN},
    {"batch-size", "N", "samples a step", EXAMPLE_TRAIN | EXAMPLE_EVALUATE},
    {"lr", "X", "highest learning rate", EXAMPLE_TRAIN},
    {"seed", "N", "of weights, order and augmentation (default 1)", EXAMPLE_TRAIN},
    {"threads", "N", "CPU threads (default: all)", ALL},
    {"device", "NAME", "cpu, cuda, cuda:1 or auto (default)", ALL},
    {"precision", "NAME", "of products: f32 (default), tf32, bf16 or f16, where the device has it",
     ALL},
    {"save", "FILE", "where the trained model goes", EXAMPLE_TRAIN},
    {"load", "FILE", "model to evaluate, to predict with, or to start training from", ALL},
    {"checkpoint", "FILE", "where the state goes, each epoch and on Ctrl-C", EXAMPLE_TRAIN},
    {"resume", "FILE", "checkpoint to continue from", EXAMPLE_TRAIN},
    {"log", "FILE", "write a JSON line an epoch", EXAMPLE_TRAIN},
    {"report", "FILE", "write an HTML report", EXAMPLE_TRAIN},
    {"tensorboard", "DIR", "write TensorBoard event files there", EXAMPLE_TRAIN},
    {"quiet", NULL, "no progress", ALL},
    {"json", NULL, "print results as JSON lines", EXAMPLE_EVALUATE | EXAMPLE_PREDICT},
    {"help", NULL, "show this text", ALL},
    {"version", NULL, "show the version", ALL},
    {"verify", "FILE", "check the checksums of a model or checkpoint, and do nothing else", ALL},
};

/** A parse under way. */
typedef struct parse {
    const example_program *program;
    example_options *options;
    bool used[KEYS];
    int next; /* the argument that argp looks at next */
    bool failed;
} parse;

static const example_option *option_of(const example_program *program, int key) {
    return key < KEY_OWN ? &common[key - KEY_DATA] : &program->own[key - KEY_OWN];
}

/* ---- values -------------------------------------------------------------------------------- */

static bool read_integer(const char *text, long long least, long long most, long long *out) {
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *out >= least && *out <= most;
}

static bool set_integer(parse *p, int key, const char *text) {
    const long long least = key == KEY_SEED ? 0 : 1;
    const long long most = key == KEY_SEED ? LLONG_MAX : key == KEY_THREADS ? 1024 : INT_MAX;
    long long value;
    if (!read_integer(text, least, most, &value)) {
        example_error("--%s takes a whole number from %lld to %lld, not '%s'",
                      common[key - KEY_DATA].name, least, most, text);
        return false;
    }
    if (key == KEY_EPOCHS)
        p->options->epochs = (int)value;
    else if (key == KEY_BATCH_SIZE)
        p->options->batch_size = value;
    else if (key == KEY_SEED)
        p->options->seed = (uint64_t)value;
    else
        p->options->threads = (int)value;
    return true;
}

/** Reads a number that is finite, in decimal: 0x1 is more likely a slip. */
static bool read_real(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out) && !strpbrk(text, "xX");
}

static bool set_lr(parse *p, const char *text) {
    if (read_real(text, &p->options->lr) && p->options->lr > 0)
        return true;
    example_error("--lr takes a number above 0, not '%s'", text);
    return false;
}

/** Finds one of a list of names; `out` gets the list's own text. */
static bool set_choice(const char *option, const char *const *names, const char *text,
                       const char **out) {
    char all[256] = "";
    for (; *names; names++) {
        if (strcmp(*names, text) == 0) {
            *out = *names;
            return true;
        }
        size_t length = strlen(all);
        snprintf(all + length, sizeof(all) - length, "%s%s", length ? ", " : "", *names);
    }
    example_error("--%s takes one of %s, not '%s'", option, all, text);
    return false;
}

static bool set_precision(parse *p, const char *text) {
    static const char *const names[] = {"f32", "tf32", "bf16", "f16",
                                        NULL}; /* as in qn_precision */
    const char *name;
    if (!set_choice("precision", names, text, &name))
        return false;
    int at = 0;
    while (names[at] != name)
        at++;
    p->options->precision = (qn_precision)at;
    return true;
}

/** Reads the number that an own option has for its value. */
static bool set_number(const char *option, const example_rule *rule, const char *text,
                       double *out) {
    long long whole = 0;
    bool fine;
    if (rule->kind == EXAMPLE_INTEGER) {
        fine = read_integer(text, (long long)rule->least, (long long)rule->most, &whole);
        *out = (double)whole;
    } else {
        fine = read_real(text, out) && *out >= rule->least && *out <= rule->most;
    }
    if (!fine)
        example_error("--%s takes a %s from %.10g to %.10g, not '%s'", option,
                      rule->kind == EXAMPLE_INTEGER ? "whole number" : "number", rule->least,
                      rule->most, text);
    return fine;
}

static bool set_own(parse *p, int own, const char *text) {
    const char *name = p->program->own[own].name;
    const example_rule *rule = &p->program->rules[own];
    p->options->own[own] = text;
    if (rule->kind == EXAMPLE_CHOICE)
        return set_choice(name, rule->choices, text, &p->options->own[own]);
    if (rule->kind != EXAMPLE_TEXT)
        return set_number(name, rule, text, &p->options->number[own]);
    return true;
}

/** An option without a value. */
static void set_flag(parse *p, int key) {
    if (key == KEY_QUIET)
        p->options->quiet = true;
    else if (key == KEY_JSON)
        p->options->json = true;
    else
        p->options->own[key - KEY_OWN] = "";
}

static bool set_option(parse *p, int key, char *value) {
    example_options *o = p->options;
    const char **text = key == KEY_DATA          ? &o->data
                        : key == KEY_DEVICE      ? &o->device
                        : key == KEY_SAVE        ? &o->save
                        : key == KEY_LOAD        ? &o->load
                        : key == KEY_CHECKPOINT  ? &o->checkpoint
                        : key == KEY_RESUME      ? &o->resume
                        : key == KEY_LOG         ? &o->log
                        : key == KEY_REPORT      ? &o->report
                        : key == KEY_TENSORBOARD ? &o->tensorboard
                                                 : NULL;
    if ((text || key >= KEY_OWN) && !*value) {
        example_error("--%s takes a name, not ''", option_of(p->program, key)->name);
        return false;
    }
    if (text)
        *text = value;
    else if (key >= KEY_OWN)
        return set_own(p, key - KEY_OWN, value);
    else if (key == KEY_MODEL)
        return set_choice("model", p->program->models, value, &o->model);
    else if (key == KEY_PRECISION)
        return set_precision(p, value);
    else if (key == KEY_LR)
        return set_lr(p, value);
    else
        return set_integer(p, key, value);
    return true;
}

/* ---- argp ---------------------------------------------------------------------------------- */

static bool set_command(parse *p, const char *text) {
    static const struct {
        const char *name;
        int command;
    } commands[] = {
        {"train", EXAMPLE_TRAIN}, {"evaluate", EXAMPLE_EVALUATE}, {"predict", EXAMPLE_PREDICT}};
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        if (strcmp(commands[i].name, text) == 0)
            p->options->command = commands[i].command;
    if (!p->options->command)
        example_error("no command '%s': use train, evaluate or predict", text);
    return p->options->command != 0;
}

static error_t on_key(int key, char *value, struct argp_state *state) {
    parse *p = state->input;
    if ((key >= KEY_DATA && key < KEY_END) || key == ARGP_KEY_ARG)
        p->next = state->next;
    bool fine = true;
    if (key == KEY_HELP) {
        state->flags &= ~(unsigned)ARGP_NO_ERRS; /* which would silence the help as well */
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
    } else if (key == KEY_VERSION) {
        printf("%s (Quern %s)\n", p->program->name, qn_version());
        exit(EXAMPLE_OK);
    } else if (key == KEY_VERIFY) {
        p->options->verify = value;
    } else if (key >= KEY_DATA && key < KEY_END) {
        p->used[key - KEY_DATA] = true;
        if (value)
            fine = set_option(p, key, value);
        else
            set_flag(p, key);
    } else if (key == ARGP_KEY_ARG && !p->options->command) {
        fine = set_command(p, value);
    } else if (key == ARGP_KEY_ARG) {
        p->options->inputs[p->options->input_count++] = value;
    } else if (key != ARGP_KEY_INIT) {
        return ARGP_ERR_UNKNOWN;
    }
    p->failed |= !fine;
    return fine ? 0 : EINVAL;
}

/** Fills argp's list from ours: one entry a key, and the empty one at the end. */
static void list_options(const example_program *program, struct argp_option out[KEYS + 1]) {
    memset(out, 0, (KEYS + 1) * sizeof(*out));
    for (int key = KEY_DATA; key < KEY_END; key++) {
        const example_option *option = option_of(program, key);
        if (option->name)
            *out++ = (struct argp_option){
                .name = option->name, .key = key, .arg = option->value, .doc = option->words};
    }
}

/** What the command lacks or cannot use. */
static int check_command(const parse *p) {
    const example_options *o = p->options;
    if (o->verify)
        return EXAMPLE_OK;
    if (!o->command)
        return example_error("no command: use train, evaluate or predict (see --help)");
    const char *command = o->command == EXAMPLE_TRAIN      ? "train"
                          : o->command == EXAMPLE_EVALUATE ? "evaluate"
                                                           : "predict";
    for (int key = KEY_DATA; key < KEY_END; key++) {
        const example_option *option = option_of(p->program, key);
        if (p->used[key - KEY_DATA] && !(option->commands & o->command))
            return example_error("%s does not take --%s", command, option->name);
    }
    if (o->command != EXAMPLE_PREDICT && o->input_count)
        return example_error("%s does not take '%s'", command, o->inputs[0]);
    if (o->command == EXAMPLE_PREDICT && !o->input_count && !p->program->may_lack_inputs)
        return example_error("predict needs %s", p->program->inputs);
    return EXAMPLE_OK;
}

int example_parse(const example_program *program, int argc, char **argv, example_options *out) {
    char arguments[128];
    snprintf(arguments, sizeof(arguments), "train\nevaluate\npredict %s", program->inputs);
    struct argp_option options[KEYS + 1];
    list_options(program, options);
    const struct argp argp = {
        .options = options, .parser = on_key, .args_doc = arguments, .doc = program->summary};
    parse p = {.program = program, .options = out, .next = 1};
    /* argp's own messages take two lines; NO_ERRS leaves the words to us. */
    const unsigned flags = ARGP_IN_ORDER | ARGP_NO_ERRS | ARGP_NO_HELP;
    const error_t error = argp_parse(&argp, argc, argv, flags, NULL, &p);
    if (error == ENOMEM)
        return example_io_error(error, "the command line");
    if (error) {
        int at = p.next < argc ? p.next : argc - 1;
        return p.failed
                   ? EXAMPLE_BAD_INPUT
                   : example_error("'%s' is no option, or ambiguous, or its value is missing or "
                                   "too much (see --help)",
                                   argv[at]);
    }
    return check_command(&p);
}
