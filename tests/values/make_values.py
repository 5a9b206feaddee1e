#!/usr/bin/python3
"""Writes values.inc: inputs, and what PyTorch computes from them in double precision.

    /usr/bin/python3 tests/values/make_values.py > tests/values/values.inc

Needs Debian's python3-torch (1.13). Each case() below becomes a `golden` of the same name, which
test_values.c holds against the call of that name in value_cases.def. Where PyTorch has no such rule,
or another one, the expected values are computed here in plain Python, and the case says so.
"""
import math
import random

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
source = random.Random(1913)

MOST_COLUMNS = 100


# ---- inputs: multiples of 1/64, exact in single precision ------------------------------------------


def normal(*shape):
    count = math.prod(shape)
    return torch.tensor([round(source.gauss(0, 1) * 64) / 64 for _ in range(count)]).reshape(shape)


def distinct(*shape):
    """All different, so that no maximum is ambiguous."""
    values = [(i - math.prod(shape) // 2) / 16 + 1 / 32 for i in range(math.prod(shape))]
    source.shuffle(values)
    return torch.tensor(values).reshape(shape)


def positive(*shape):
    return normal(*shape).abs() + 0.5


def unit(*shape):
    return torch.tensor([source.randrange(65) / 64 for _ in range(math.prod(shape))]).reshape(shape)


def index(below, *shape):
    count = math.prod(shape)
    return torch.tensor([source.randrange(below) for _ in range(count)]).reshape(shape)


# ---- output ----------------------------------------------------------------------------------------

DTYPES = {torch.float64: "QN_F64", torch.int64: "QN_I64", torch.uint8: "QN_U8", torch.bool: "QN_U8",
          torch.int32: "QN_I32"}


def number(value):
    value = float(value)
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return repr(value)[:-2] if repr(value).endswith(".0") and value != 0 else repr(value)


def array(name, tensor):
    """A C array of the elements in row-major order."""
    line = "   "
    print(f"static const double {name}[] = {{")
    for value in tensor.detach().contiguous().reshape(-1).tolist():
        word = f" {number(value)},"
        if len(line) + len(word) > MOST_COLUMNS:
            print(line)
            line = "   "
        line += word
    print(line + "};")


def described(name, tensor):
    extents = ", ".join(str(n) for n in tensor.shape)
    shape = f"{{{tensor.dim()}, {{{extents}}}}}" if tensor.dim() else "{0}"
    return f"{{{DTYPES[tensor.dtype]}, {shape}, {name}}}"


def case(name, function, *inputs, grad=None, each=False, single=False):
    """Writes a case. `grad`: positions of the inputs whose gradients are compared, of the sum of the
    output's elements times random weights; default: all floating-point inputs. `each`: every output is
    compared relative to itself, not to the greatest one. `single`: what is tested computes in single
    precision whatever it is given."""
    if grad is None:
        grad = [i for i, x in enumerate(inputs) if x.is_floating_point()]
    leaves = [x.clone().requires_grad_(i in grad) for i, x in enumerate(inputs)]
    output = function(*leaves)
    for i, x in enumerate(inputs):
        array(f"{name}_in{i}", x)
    array(f"{name}_out", output)
    fields = [f'.name = "{name}"', f".each = {str(each).lower()}", f".inputs = {len(inputs)}"]
    if single:
        fields.append(".single = true")
    listed = ", ".join(described(f"{name}_in{i}", x) for i, x in enumerate(inputs))
    fields += [f".input = {{{listed}}}", f".output = {described(f'{name}_out', output)}"]
    if grad:
        weights = normal(*output.shape)
        (weights * output).sum().backward()
        array(f"{name}_weights", weights)
        fields.append(f".weights = {name}_weights")
        for i in grad:
            array(f"{name}_grad{i}", leaves[i].grad)
        fields.append(".grad = {" + ", ".join(f"[{i}] = {name}_grad{i}" for i in grad) + "}")
    print(f"static const golden golden_{name} = {{")
    for field in fields:
        print(f"    {field},")
    print("};\n")


# ---- the cases -------------------------------------------------------------------------------------


class Softplus(torch.autograd.Function):
    """log(1 + e^x) to the last digit: PyTorch's is x itself above 20, and 0 far below."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.tensor([max(v, 0) + math.log1p(math.exp(-abs(v))) for v in x.tolist()])

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0].sigmoid()


def elementwise():
    nan, inf = math.nan, math.inf
    bases = [0, 0, 0, -0.0, nan, 1, 1, -2, -2, -2, inf, inf, -inf, -inf, 2, 0.5, 4, 9]
    powers = [0, 2, -1, -1, 0, nan, inf, 3, 0.5, -2, -1, 0, 3, 2, -inf, inf, 0.5, -0.5]
    case("pow_corners", torch.pow, torch.tensor(bases), torch.tensor(powers), grad=[], each=True)
    case("pow", torch.pow, positive(2, 5), normal(2, 5), each=True)
    wide = torch.tensor([-100, -40, -20.5, -3, -0.5, 0, 0.25, 2, 19.5, 20.5, 40, 100])
    case("softplus", Softplus.apply, wide, each=True)
    case("sigmoid", torch.sigmoid, wide, each=True)
    case("tanh", torch.tanh, wide, each=True)
    case("silu", F.silu, wide)
    moderate = torch.tensor([-6, -3, -1.5, -0.75, -0.125, 0, 0.25, 0.5, 1, 2.5, 5, 8])
    case("gelu", F.gelu, moderate)
    case("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), moderate)
    case("leaky_relu", lambda x: F.leaky_relu(x, 0.125), moderate)
    case("rsqrt", torch.rsqrt, positive(7), each=True)
    tied = torch.tensor([1, 2, 3, 4, 5.0])
    case("maximum", torch.maximum, tied, torch.tensor([2, 2, 2, 4, 6.0]))
    case("minimum", torch.minimum, tied, torch.tensor([2, 2, 2, 4, 6.0]))


def casts():
    """PyTorch leaves these to the processor; here: towards zero, saturating, NaN to 0."""
    values = [0, 0.5, -0.5, 1.9, -1.9, 254.9, 255, 256, -1, 1e10, -1e10, 2147483648, -2147483648,
              2147483520, 1e19, -1e19, 9223372036854775808, math.inf, -math.inf, math.nan]
    values = torch.tensor(values).float().double()  # what single precision holds
    ranges = {torch.uint8: (0, 255), torch.int32: (-2**31, 2**31 - 1), torch.int64: (-2**63, 2**63 - 1)}

    def convert(dtype):
        low, high = ranges[dtype]

        def one(value):
            if math.isnan(value):
                return 0
            return low if value <= low else high if value >= high else int(value)

        return lambda x: torch.tensor([one(v) for v in x.tolist()], dtype=dtype)

    for dtype in ranges:
        case(f"cast_{str(dtype)[6:]}", convert(dtype), values, grad=[], each=True)


def reductions():
    case("mean", lambda x: x.mean((0, 2)), normal(3, 4, 5))
    case("var", lambda x: x.var((0, 2), unbiased=True), normal(3, 4, 5))
    case("var_biased", lambda x: x.var(-1, unbiased=False, keepdim=True), normal(3, 5))
    ties = torch.tensor([[1, 3, 3, 2], [4, 4, 4, 0], [5, 1, 2, 3.0]])
    case("max", lambda x: x.amax(1), ties)
    case("min", lambda x: x.amin(0, keepdim=True), ties)
    special = torch.tensor([[1, 3, 3, 2], [0, math.nan, 7, math.nan], [-1, -math.inf, -3, -1]])
    case("argmax", lambda x: x.argmax(1), special, grad=[])


def products():
    case("matmul", torch.matmul, normal(2, 1, 3, 5), normal(3, 5, 4))
    case("linear", F.linear, normal(2, 3, 5), normal(4, 5), normal(4))


def softmaxes_and_losses():
    extreme = torch.tensor([[1000, 999, -1000, 0], [-1000, -1001, -1002, -1e4], [0, 0, 0, 0.0]])
    case("softmax", lambda x: x.softmax(-1), normal(3, 5))
    case("softmax_axis", lambda x: x.softmax(1), normal(2, 4, 3))
    case("softmax_extreme", lambda x: x.softmax(-1), extreme, each=True)
    case("log_softmax", lambda x: x.log_softmax(-1), normal(3, 5))
    case("log_softmax_axis", lambda x: x.log_softmax(1), normal(2, 4, 3))
    case("log_softmax_extreme", lambda x: x.log_softmax(-1), extreme, each=True)
    target = torch.tensor([0, 4, 2, 2, 1, 3])
    case("cross_entropy", F.cross_entropy, normal(6, 5), target)
    case("cross_entropy_image", F.cross_entropy, normal(2, 4, 3, 2), index(4, 2, 3, 2))
    case("cross_entropy_smooth", lambda x, t: F.cross_entropy(x, t, label_smoothing=0.125),
         normal(6, 5), target)
    case("cross_entropy_ignore", lambda x, t: F.cross_entropy(x, t, ignore_index=2),
         normal(6, 5), target)
    case("cross_entropy_both",
         lambda x, t: F.cross_entropy(x, t, ignore_index=2, label_smoothing=0.125),
         normal(6, 5), target)
    case("mse", F.mse_loss, normal(3, 4), normal(3, 4))
    case("mae", F.l1_loss, normal(3, 4), distinct(3, 4) + 1 / 128)
    case("huber", lambda p, t: F.huber_loss(p, t, delta=0.75), 2 * normal(3, 4), normal(3, 4))
    logits = torch.tensor([-100, -20, -1, 0, 0.5, 3, 30, 100.0])
    case("bce_with_logits", F.binary_cross_entropy_with_logits, logits, unit(8))


def convolution_and_pooling():
    def conv2d(**settings):
        return lambda x, w, b: F.conv2d(x, w, b, **settings)

    case("conv2d", conv2d(), normal(1, 2, 4, 5), normal(3, 2, 2, 3), normal(3))
    case("conv2d_padded", conv2d(padding=(1, 2)), normal(2, 2, 4, 3), normal(2, 2, 3, 3), normal(2))
    case("conv2d_strided", conv2d(stride=(2, 3), padding=(1, 0)), normal(2, 2, 5, 7),
         normal(3, 2, 3, 2), normal(3))
    case("conv2d_dilated", conv2d(dilation=(2, 3), padding=(2, 1)), normal(1, 2, 5, 7),
         normal(2, 2, 3, 2), normal(2))
    case("conv2d_groups", conv2d(groups=2), normal(2, 4, 4, 3), normal(6, 2, 2, 2), normal(6))
    case("conv2d_depthwise", conv2d(groups=3, padding=(1, 1), stride=(2, 1)), normal(2, 3, 4, 4),
         normal(6, 1, 3, 3), normal(6))
    case("max_pool2d", lambda x: F.max_pool2d(x, 2), distinct(1, 2, 4, 5))
    case("max_pool2d_overlap", lambda x: F.max_pool2d(x, 3, (2, 1), (1, 0)), distinct(1, 2, 5, 6))
    case("avg_pool2d", lambda x: F.avg_pool2d(x, (2, 3)), normal(1, 2, 5, 7))
    case("avg_pool2d_padded", lambda x: F.avg_pool2d(x, 3, 2, 1), normal(1, 2, 5, 6))
    case("avg_pool2d_exclude", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
         normal(1, 2, 5, 6))
    case("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (3, 2)), normal(1, 2, 7, 5))


def normalisation():
    def trained(x, w, b, mean, var):
        return F.batch_norm(x, mean.clone(), var.clone(), w, b, True, 0.25, 1e-3)

    def running(x, mean, var):
        F.batch_norm(x, mean, var, None, None, True, 0.25, 1e-3)
        return torch.cat([mean, var])

    def evaluated(x, w, b, mean, var):
        return F.batch_norm(x, mean, var, w, b, False, 0.25, 1e-3)

    def inputs():
        return normal(2, 3, 2, 3), normal(3), normal(3), normal(3), positive(3)

    case("batch_norm", trained, *inputs(), grad=[0, 1, 2])
    case("batch_norm_running", running, normal(2, 3, 2, 3), normal(3), positive(3), grad=[])
    case("batch_norm_evaluation", evaluated, *inputs(), grad=[0, 1, 2])
    case("layer_norm", lambda x, w, b: F.layer_norm(x, (5,), w, b, 1e-5), normal(2, 3, 5), normal(5),
         normal(5))
    case("layer_norm_two_axes", lambda x: F.layer_norm(x, (3, 5), eps=1e-3), normal(2, 3, 5))


def picking():
    case("gather", lambda x, i: x.gather(1, i), normal(3, 5, 2), index(5, 3, 4, 2))
    case("scatter_add", lambda x, i: torch.zeros(3, 5, 2).scatter_add(1, i, x), normal(3, 4, 2),
         index(5, 3, 4, 2))


def attention():
    """Heads stand in front of positions in PyTorch, behind them here. The layers get their parameters
    as one vector, in PyTorch's order."""
    source.seed(2017)

    def attend(allowed, scale=None):
        def run(q, k, v, *_):
            q, k, v = (x.transpose(1, 2) for x in (q, k, v))
            scores = q @ k.transpose(-1, -2) * (scale or q.shape[-1] ** -0.5)
            return (scores.masked_fill(~allowed, -math.inf).softmax(-1) @ v).transpose(1, 2)
        return run

    def inputs(tq, tk):
        return normal(2, tq, 2, 3), normal(2, tk, 2, 3), normal(2, tk, 2, 3)

    everywhere = torch.ones(1, dtype=torch.bool)
    case("attention", attend(everywhere), *inputs(3, 5))
    mask = index(2, 2, 2, 3, 5) + torch.eye(5, dtype=torch.int64)[:3] > 0
    case("attention_mask", attend(mask, 0.75), *inputs(3, 5), mask)
    case("attention_causal", attend(torch.ones(4, 4).tril().bool()), *inputs(4, 4))
    case("attention_causal_more_keys", attend(torch.ones(3, 5).tril(2).bool()), *inputs(3, 5))

    def layer(module, call):
        """Output of `call` for the module with its parameters taken from a vector."""
        def run(x, vector, *rest):
            parameters = dict(module.named_parameters())
            parts = vector.split([p.numel() for p in parameters.values()])
            with torch.no_grad():
                for p, part in zip(parameters.values(), parts):
                    p.copy_(part.reshape(p.shape))
            return call(module, x, *rest)
        count = sum(p.numel() for p in module.parameters())
        return run, normal(2, 4, 6), normal(count) / 2

    kept = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    multi_head = torch.nn.MultiheadAttention(6, 2, batch_first=True)
    case("multi_head", *layer(multi_head, lambda m, x: m(x, x, x)[0]), grad=[0], single=True)
    case("multi_head_padded", *layer(multi_head, lambda m, x, a: m(x, x, x, ~a)[0]), kept, grad=[0],
         single=True)
    case("multi_head_cross", *layer(multi_head, lambda m, x, y: m(x, y, y)[0]), normal(2, 3, 6),
         grad=[0, 2], single=True)
    for name, settings in [("post", {}), ("pre", {"norm_first": True, "activation": F.gelu})]:
        encoder = torch.nn.TransformerEncoderLayer(6, 2, 10, 0, batch_first=True, **settings)
        case(f"transformer_{name}_norm",
             *layer(encoder, lambda m, x, a: m(x, src_key_padding_mask=~a)), kept, grad=[0],
             single=True)


def optimizers():
    """Three steps with given gradients: the parameters after each. Rates are exact in single
    precision, in which the library keeps them."""

    def three_steps(kind, **settings):
        def run(p, *gradients):
            p = p.detach().clone().requires_grad_()
            optimizer = kind([p], **settings)
            after = []
            for gradient in gradients:
                p.grad = gradient.detach().clone()
                optimizer.step()
                after.append(p.detach().clone())
            return torch.stack(after)
        return run

    optim = torch.optim
    for name, kind, settings in [
            ("sgd", optim.SGD, {"lr": 0.125}),
            ("sgd_momentum", optim.SGD,
             {"lr": 0.125, "momentum": 0.9, "dampening": 0.25, "weight_decay": 0.01}),
            ("sgd_nesterov", optim.SGD, {"lr": 0.125, "momentum": 0.9, "nesterov": True}),
            ("adam", optim.Adam, {"lr": 0.0625}),
            ("adam_decay", optim.Adam, {"lr": 0.0625, "betas": (0.8, 0.95), "weight_decay": 0.1}),
            ("adamw", optim.AdamW, {"lr": 0.0625, "weight_decay": 0.1}),
            ("rmsprop", optim.RMSprop, {"lr": 0.0625}),
            ("rmsprop_momentum", optim.RMSprop,
             {"lr": 0.0625, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1}),
            ("adadelta", optim.Adadelta, {"lr": 0.5}),
            ("adadelta_decay", optim.Adadelta, {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1})]:
        case(name, three_steps(kind, **settings), *[normal(7) for _ in range(4)], grad=[])


def embeddings():
    rows = index(6, 3, 4)
    rows[0, 1] = rows[1] = 2
    case("embedding", lambda w, i: F.embedding(i, w, padding_idx=2), normal(6, 5), rows)
    for mode in "mean", "sum":
        case("embedding_bag_" + mode,
             lambda w, i: F.embedding_bag(i, w, mode=mode, padding_idx=2), normal(6, 5), rows)


def along_time():
    def moving_average(x, window):  # of [n, t, c], as in the program of Zeng et al. 2023
        ends = (window - 1) // 2
        padded = F.pad(x.transpose(1, 2), (ends, ends), mode="replicate")
        return F.avg_pool1d(padded, window, stride=1).transpose(1, 2)

    def quantile_loss(prediction, target):
        levels = torch.tensor([0.1, 0.5, 0.9])
        short = target.unsqueeze(-1) - prediction
        return torch.maximum(levels * short, (levels - 1) * short).mean()

    signal, weight, bias = normal(2, 3, 8), normal(4, 3, 3), normal(4)
    case("conv1d", lambda x, w, b: F.conv1d(x, w, b, 2, 3, 2), signal, weight, bias)
    case("conv1d_groups", lambda x, w: F.conv1d(x, w, None, groups=2), normal(2, 4, 6), normal(4, 2, 3))
    case("conv1d_max", lambda x, w, b: F.conv1d(x, w, b, padding=2).max(2).values, signal, weight, bias)
    case("moving_average", lambda x: moving_average(x, 5), normal(2, 7, 3))
    case("moving_average_wide", lambda x: moving_average(x, 13), normal(1, 4, 2))
    case("unfold", lambda x: x.unfold(1, 4, 2), normal(2, 9, 2))
    case("sort", lambda x: x.sort(1).values, distinct(2, 7, 2))
    corners = torch.tensor([1, math.nan, -math.inf, 0, 1, math.inf, 0, math.nan, -2, 1])
    case("sort_corners", lambda x: x.sort(stable=True, dim=0).indices, corners, grad=[])
    case("sort_corners_falling", lambda x: x.sort(stable=True, dim=0, descending=True).indices, corners,
         grad=[])
    case("cumsum", lambda x: x.cumsum(1), normal(2, 5, 3))
    case("quantile_loss", quantile_loss, normal(4, 5, 3), normal(4, 5))
    case("gaussian_nll", lambda m, s, t: F.gaussian_nll_loss(m, t, s * s, full=True), normal(3, 4),
         positive(3, 4), normal(3, 4))
    case("instance_norm", lambda x, w, b: F.instance_norm(x, weight=w, bias=b), normal(2, 3, 9),
         normal(3), normal(3))


def recurrent():
    """Layers of PyTorch's with all parameters from one vector. Behind a sample's length a packed sequence has
    zeros, where ours keeps the state: the calls of ours put zeros there."""
    n, steps, width, hidden = 3, 4, 2, 3

    def layers(kind, layers, lengths):
        def run(x, vector, *start):
            net = kind(width, hidden, layers, batch_first=True, bidirectional=layers > 1)
            at = 0
            for name, parameter in list(net.named_parameters()):
                delattr(net, name)
                part = vector[at:at + parameter.numel()].reshape(parameter.shape)
                setattr(net, name, part)
                at += parameter.numel()
            assert at == vector.numel()
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, True, False)
            first = None if not start else start if len(start) == 2 else start[0]
            y, last = net(packed, first)
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, True, 0.0, steps)
            last = last if kind is torch.nn.LSTM else (last,)
            return torch.cat([part.reshape(-1) for part in (y, *last)])
        return run

    def first_steps(x, lengths, reduce):
        return torch.stack([reduce(row[:length]) for row, length in zip(x, lengths)])

    def states():
        return normal(4, n, hidden)

    x, uneven, gates = normal(n, steps, width), [4, 1, 3], {torch.nn.LSTM: 4, torch.nn.GRU: 3}
    for kind, rows in gates.items():
        name, count = kind.__name__.lower(), rows * hidden * (width + hidden + 2)
        both = 2 * (count + rows * hidden * (3 * hidden + 2))
        case(name, layers(kind, 1, [steps] * n), x, normal(count) / 2)
        start = [states() for _ in range(rows - 2)]
        case(name + "_layers", layers(kind, 2, uneven), x, normal(both) / 2, *start)
    lengths = torch.tensor([3, 1, 5])
    case("sequence_mean", lambda x, l: first_steps(x, l, lambda row: row.mean(0)), normal(3, 5, 2), lengths)
    case("sequence_max", lambda x, l: first_steps(x, l, lambda row: row.max(0).values),
         distinct(3, 5, 2), lengths)


print("/* Written by make_values.py with PyTorch " + torch.__version__.split("a")[0] + ". */\n")
elementwise()
casts()
reductions()
products()
softmaxes_and_losses()
convolution_and_pooling()
normalisation()
picking()
optimizers()
embeddings()
along_time()
attention()
recurrent()
