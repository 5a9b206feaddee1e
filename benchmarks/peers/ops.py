#!/usr/bin/python3
"""Single operations, forward and with gradient, at the sizes of `quern-bench ops` (../bench_sizes.def and
../bench_cases.def), whose names the rows have. Milliseconds: median, least and most of 7 windows."""
import time
import peer

p = peer.args_base(__doc__)
p.add_argument("--op", default="", help="rows whose name has this in it (all)")
a = p.parse_args()
torch = peer.setup(a)
F, nn = torch.nn.functional, torch.nn
WINDOW = a.bench or 0.05


def windows(call):
    """Seconds of one call, in 7 windows."""
    call()
    start = time.perf_counter()
    call()
    calls = max(1, int(WINDOW / max(time.perf_counter() - start, 1e-7)))
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        seconds.append((time.perf_counter() - start) / calls)
    return peer.mmm(seconds)


def show(name, what, seconds):
    ms = {k: 1e3 * seconds[k] for k in ("med", "min", "max")}
    if a.json:
        print(peer.json.dumps(dict(op=name, what=what, threads=a.threads, compile=a.compile, **ms)), flush=True)
    else:
        print(f"{name:20} {a.threads} threads  {what:9} {ms['med']:9.4f} ms ({ms['min']:.4f} to {ms['max']:.4f})", flush=True)


def measure(name, make):
    """make() gives the call and the tensors whose gradients are wanted; with none of them, forward alone."""
    if a.op not in name:
        return
    call, leaves = make()
    if a.compile and leaves:  # compile() refuses an optimizer's step on its own
        call = torch.compile(call)
    with torch.no_grad():
        show(name, "forward", windows(call))
        upstream = torch.randn_like(call()) if leaves else None

    def both():
        for leaf in leaves:
            leaf.grad = None
        call().backward(upstream)
    if leaves:
        show(name, "with grad", windows(both))


def leaf(*shape):
    return torch.randn(*shape, requires_grad=True)


def conv(x, weight, padding):
    bias = leaf(weight[0])
    weight = leaf(*weight)
    leaves = [t for t in (x, weight, bias) if t.requires_grad]
    return lambda: F.conv2d(x, weight, bias, padding=padding), leaves


def max_pool():
    x = leaf(64, 32, 28, 28)
    return lambda: F.max_pool2d(x, 2), [x]


def batch_norm():
    x, layer = leaf(64, 32, 28, 28), nn.BatchNorm2d(32)
    return lambda: layer(x), [x, *layer.parameters()]


def cross_entropy():
    x, y = leaf(256, 32000), torch.randint(32000, (256,))
    return lambda: F.cross_entropy(x, y), [x]


def layer_norm():
    x, layer = leaf(512, 8, 1024), nn.LayerNorm(1024)
    return lambda: layer(x), [x, *layer.parameters()]


def lstm():
    x, layer = leaf(64, 32, 256), nn.LSTM(256, 256)
    return lambda: layer(x)[0], [x, *layer.parameters()]


def mul_add():
    x = [leaf(4000, 2500) for _ in range(3)]
    return lambda: x[0] * x[1] + x[2], x


def adam(tensors, **form):
    weights = [leaf(10_000_000 // tensors) for _ in range(tensors)]
    for w in weights:
        w.grad = torch.randn_like(w)
    return torch.optim.Adam(weights, lr=1e-3, **form).step, []


measure("conv2d", lambda: conv(leaf(32, 64, 56, 56), (64, 64, 3, 3), 1))
measure("conv2d_one_channel", lambda: conv(torch.randn(64, 1, 28, 28), (32, 1, 5, 5), 2))
measure("conv2d_five", lambda: conv(leaf(64, 32, 14, 14), (64, 32, 5, 5), 2))
measure("max_pool2d", max_pool)
measure("batch_norm", batch_norm)
measure("cross_entropy", cross_entropy)
measure("layer_norm", layer_norm)
measure("lstm", lstm)
measure("mul_add", mul_add)
measure("adam_step", lambda: adam(1))
measure("adam_step fused", lambda: adam(1, fused=True))
measure("adam_step 100", lambda: adam(100))
measure("adam_step 100 foreach", lambda: adam(100, foreach=True))
