#!/usr/bin/env python3
"""PyTorch's training steps on cuda:0, for first_day.sh: the networks of `quern-bench train` on random images.

    torch_steps.py f32|tf32|bf16

Prints a line a network: name, verdict, figure and words, between tabs. Steps run eagerly, Adam is fused, and the loss
stays on the device, as it does in quern-bench.
"""
import statistics
import sys
import time

import torch
from torch import nn

BATCH, WINDOWS, SECONDS, STEPS = 64, 5, 0.3, 20


def block(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def networks():
    yield "mlp", [nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)]
    yield "lenet", [nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5, padding=2),
                    nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10)]
    yield "cnn", [*block(1, 32), *block(32, 32), nn.MaxPool2d(2), *block(32, 64), *block(64, 64), nn.MaxPool2d(2),
                  nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)]


def measure(step):
    """Samples a second of each window."""
    for _ in range(STEPS):
        step()
    rates = []
    for _ in range(WINDOWS):
        torch.cuda.synchronize()
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS:
            for _ in range(STEPS):
                step()
            torch.cuda.synchronize()
            steps += STEPS
        rates.append(BATCH * steps / (time.perf_counter() - start))
    return rates


def main(precision):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    x, y = torch.randn(BATCH, 1, 28, 28, device="cuda"), torch.randint(10, (BATCH,), device="cuda")
    for name, layers in networks():
        net = nn.Sequential(*layers).cuda()
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

        def step(net=net, optimizer=optimizer):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bf16"):
                loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()

        rates = measure(step)
        print(f"{name}, PyTorch {torch.__version__}\tfigure\t{statistics.median(rates):.0f} samples/s\t"
              f"{min(rates):.0f} to {max(rates):.0f}, eager, batch {BATCH}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
