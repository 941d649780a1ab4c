#!/usr/bin/env python3
"""The networks that ecgfm is measured against, in plain PyTorch.

  torch_encoder.py --network ecg-fm|vit-small --mode infer|train --precision f32|bf16
                   --batch N,... [--threads T] [--repeat R] [--limit SECONDS]
  torch_encoder.py --network NAME --mode startup [--weights FILE]
  torch_encoder.py --network NAME --mode save --weights FILE

Input is [B,12,2500] (5 s at 500 Hz), output 26 logits. Prints one JSON line for each batch size: seconds
of each timed step (two before are not timed), parameters, peak resident bytes during the run. What is
timed: scoring without gradients, or zero_grad, forward, binary cross-entropy, backward and AdamW. bf16
is torch.autocast. Runs on torch 1.13 (Debian 12) and later ones, and uses the fused attention where torch
has it.
"""
import time

STARTED = time.perf_counter()
import argparse
import json
import torch
from torch import nn
from torch.nn import functional as F

IMPORTED = time.perf_counter()
LEADS, SAMPLES, CLASSES = 12, 2500, 26


def attend(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return weights.softmax(-1) @ v


class Layer(nn.Module):
    """A transformer block; norms after each sum (post), or before each branch."""

    def __init__(self, width, heads, post):
        super().__init__()
        self.heads, self.post = heads, post
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def attention(self, x):
        batch, tokens, width = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return self.out(attend(q, k, v).transpose(1, 2).reshape(batch, tokens, width))

    def mlp(self, x):
        return self.down(F.gelu(self.up(x)))

    def forward(self, x):
        for norm, branch in zip(self.norms, (self.attention, self.mlp)):
            x = norm(x + branch(x)) if self.post else x + branch(norm(x))
        return x


class EcgFm(nn.Module):
    """Four convolutions of kernel 2 and step 2, a grouped convolution for the place, 12 layers."""

    def __init__(self, width=768, channels=256):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(LEADS if i == 0 else channels, channels, 2, 2, bias=False) for i in range(4)
        )
        self.group_norm = nn.GroupNorm(channels, channels)
        self.token_norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, width)
        self.place = nn.Conv1d(width, width, 128, padding=64, groups=16)
        self.place_norm = nn.LayerNorm(width)
        self.layers = nn.Sequential(*(Layer(width, 12, True) for _ in range(12)))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x):
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if i == 0:  # torch 1.13 has no group norm in bf16
                x = self.group_norm(x.float())
            x = F.gelu(x)
        x = self.project(self.token_norm(x.float().transpose(1, 2)))
        place = F.gelu(self.place(x.transpose(1, 2))[..., :-1]).transpose(1, 2)
        return self.head(self.layers(self.place_norm((x + place).float())).mean(1))


class PatchTransformer(nn.Module):
    """Patches of 10 samples of all leads, 12 layers with norms before the branches."""

    def __init__(self, width=384, patch=10):
        super().__init__()
        self.embed = nn.Conv1d(LEADS, width, patch, patch)
        self.place = nn.Parameter(torch.zeros(1, SAMPLES // patch, width))
        self.layers = nn.Sequential(*(Layer(width, 6, False) for _ in range(12)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x):
        x = self.layers(self.embed(x).transpose(1, 2) + self.place)
        return self.head(self.norm(x).mean(1))


NETWORKS = {"ecg-fm": EcgFm, "vit-small": PatchTransformer}


def forget_peak():
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")


def peak_bytes():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


def timed(step, repeat, limit):
    for _ in range(2):
        step()
    seconds, begin = [], time.perf_counter()
    while len(seconds) < repeat:
        before = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - before)
        if len(seconds) >= 3 and time.perf_counter() - begin > limit:
            break
    return seconds


def scoring(network, batch, bf16):
    network.eval()
    x = torch.randn(batch, LEADS, SAMPLES)

    def step():
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            network(x)

    return step


def training(network, batch, bf16):
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, weight_decay=0.05)
    x = torch.randn(batch, LEADS, SAMPLES)
    target = (torch.rand(batch, CLASSES) > 0.9).float()

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = network(x)
        F.binary_cross_entropy_with_logits(logits.float(), target).backward()
        optimizer.step()

    return step


def measure(options):
    for batch in map(int, options.batch.split(",")):
        forget_peak()
        torch.manual_seed(0)
        network = NETWORKS[options.network]()
        make = training if options.mode == "train" else scoring
        step = make(network, batch, options.precision == "bf16")
        seconds = timed(step, options.repeat, options.limit)
        line = dict(mode=options.mode, precision=options.precision, batch=batch, seconds=seconds)
        line.update(peak_bytes=peak_bytes(), torch=torch.__version__)
        line["parameters"] = sum(p.numel() for p in network.parameters())
        print(json.dumps(line), flush=True)
        del network, step


def startup(options):
    if options.weights:  # values come from the file: none are drawn
        for name in ("kaiming_uniform_", "uniform_", "ones_", "zeros_"):
            setattr(nn.init, name, lambda tensor, *_, **__: tensor)
    network = NETWORKS[options.network]().eval()
    if options.weights:
        network.load_state_dict(torch.load(options.weights))
    with torch.no_grad():
        network(torch.randn(1, LEADS, SAMPLES))
    now = time.perf_counter()
    line = dict(import_seconds=IMPORTED - STARTED, first_score_seconds=now - STARTED)
    print(json.dumps(dict(line, peak_bytes=peak_bytes(), torch=torch.__version__)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--mode", choices=("infer", "train", "startup", "save"), required=True)
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--batch", default="8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--limit", type=float, default=5)
    parser.add_argument("--weights")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.mode == "startup":
        startup(options)
    elif options.mode == "save":
        torch.save(NETWORKS[options.network]().state_dict(), options.weights)
    else:
        measure(options)


main()
