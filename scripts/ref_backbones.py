#!/usr/bin/env python3
"""The small networks stated a second time, in plain PyTorch: xresnet1d, resnet1d, clocs_cnn, s4, lstm, their head, and the loss of
contrastive predictive coding.

  ref_backbones.py fixtures [--out tests/fixtures]      write what tests/unit/test_backbones.c compares with
  ref_backbones.py verify [--fixtures tests/fixtures]   compute it again from what the fixtures hold
  ref_backbones.py count                                values of the published sizes

Written from the published descriptions, not from the C sources; only the names of parameters are ours.
Runs on PyTorch 1.13 and newer; without PyTorch it says so and exits with 77. Truth is computed in float64
from float32 weights and inputs.

A fixture is a safetensors file, net_NAME. Its metadata holds "spec" (the network in the words of ecgfm) and,
with a pre-training loss, "objective". Its tensors:
  weight.NAME   parameters, running statistics among them, by our names
  input.*       signal [B,L,T], target [B,K], or picks [B,N,1+K]: tokens, the positive first
  eval.*        tokens [B,N,C] and logits [B,K] with running statistics, as in use
  loss          of one batch in training, with the batch's own statistics
  grad.NAME     its gradient, of parameters of at most GRADIENT_MAX values
  after.NAME    running statistics after that batch
"""
import argparse
import json
import math
import os
import platform
import sys
from collections import OrderedDict

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ref_ecgfm import difference, read_safetensors, write_safetensors  # exits with 77 without PyTorch

import torch
from torch.nn import functional as F

GRADIENT_MAX = 4096
MOMENTUM, BN_EPSILON = 0.1, 1e-5


class Parameters:
    """Values by name. A name that is not known yet gets random values of the given kind, off the special
    places where a network starts: a norm's weight is not 1 or 0, running statistics are those of no data."""

    def __init__(self, seed=None, values=None):
        self.values = OrderedDict() if values is None else values
        self.g = torch.Generator().manual_seed(seed) if seed is not None else None

    def __call__(self, name, shape, kind):
        if name not in self.values:
            x = torch.randn(shape, generator=self.g)
            fan = math.prod(shape[1:])
            x = {"weight": x * math.sqrt(2 / fan) if fan else x, "gain": 1 + 0.2 * x, "offset": 0.1 * x,
                 "mean": 0.2 * x, "variance": 0.5 + torch.rand(shape, generator=self.g), "plain": x,
                 "step": math.log(1e-3) + math.log(100) * torch.rand(shape, generator=self.g),
                 "decay": math.log(0.5) + 0.1 * x,
                 "tone": math.pi * torch.arange(shape[-1]).expand(shape) + 0.1 * x}[kind]
            self.values[name] = x.float().contiguous()
        x = self.values[name]
        assert tuple(x.shape) == tuple(shape), (name, tuple(x.shape), shape)
        return x


# ---- pieces, on [B,C,T] ---------------------------------------------------------------------------

class Net:
    """p: Parameters; training: norms use the batch and move the running statistics in `after`."""

    def __init__(self, p, training):
        self.p, self.training, self.after = p, training, OrderedDict()

    def conv(self, name, x, out, kernel, stride=1, bias=False, padded=True):
        w = self.p(name + ".weight", (out, x.shape[1], kernel), "weight")
        b = self.p(name + ".bias", (out,), "offset") if bias else None
        return F.conv1d(x, w, b, stride=stride, padding=kernel // 2 if padded else 0)

    def norm(self, name, x):
        c = (x.shape[1],)
        w, b = self.p(name + ".weight", c, "gain"), self.p(name + ".bias", c, "offset")
        mean = self.p(name + ".running_mean", c, "mean").detach().clone()
        var = self.p(name + ".running_var", c, "variance").detach().clone()
        y = F.batch_norm(x, mean, var, w, b, self.training, MOMENTUM, BN_EPSILON)
        if self.training:
            self.after[name + ".running_mean"], self.after[name + ".running_var"] = mean, var
        return y

    def linear(self, name, x, out, bias=True):
        w = self.p(name + ".weight", (out, x.shape[-1]), "weight")
        return F.linear(x, w, self.p(name + ".bias", (out,), "offset") if bias else None)

    def layer_norm(self, name, x):
        c = (x.shape[-1],)
        return F.layer_norm(x, c, self.p(name + ".weight", c, "gain"), self.p(name + ".bias", c, "offset"), 1e-5)

    # -- xResNet1d: Strodthoff et al. 2021 after He et al. 2019

    def xresnet1d(self, c, x):
        blocks, expansion = {"18": ([2, 2, 2, 2], 1), "34": ([3, 4, 6, 3], 1), "50": ([3, 4, 6, 3], 4),
                             "101": ([3, 4, 23, 3], 4), "152": ([3, 8, 36, 3], 4)}[c["depth"]]
        k = c.get("kernel", 5)
        for i, out in enumerate([32, 32, 64]):
            s = f"encoder.stem.{i}"
            x = F.relu(self.norm(s + ".norm", self.conv(s + ".conv", x, out, k, 2 if i == 0 else 1)))
        x = F.max_pool1d(x, 3, 2, 1)
        for stage, count in enumerate(blocks):
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                x = self.xblock(f"encoder.stage.{stage}.block.{i}", x, c["width"], expansion, stride, k)
        return x

    def xblock(self, s, x, width, expansion, stride, k):
        out = width * expansion
        shapes = [(width, 1, 1), (width, k, stride), (out, 1, 1)] if expansion > 1 else \
            [(width, k, stride), (out, k, 1)]
        y = x
        for i, (channels, kernel, step) in enumerate(shapes):
            y = self.norm(f"{s}.norm.{i}", self.conv(f"{s}.conv.{i}", y, channels, kernel, step))
            if i + 1 < len(shapes):
                y = F.relu(y)
        if stride > 1:
            x = F.avg_pool1d(x, stride, stride, ceil_mode=True, count_include_pad=False)
        if x.shape[1] != out:
            x = self.norm(s + ".shortcut.norm", self.conv(s + ".shortcut.conv", x, out, 1))
        return F.relu(x + y)

    # -- ResNet over time: Wang et al. 2017 as in Strodthoff et al. 2021; ResNet-18 as in MERL (Liu et al. 2024)

    def resnet1d(self, c, x):
        blocks, stem_stride, taps = {"wang": ([1, 1, 1], 1, (5, 3)), "18": ([2, 2, 2, 2], 2, (3, 3)),
                                     "34": ([3, 4, 6, 3], 2, (3, 3))}[c["depth"]]
        x = F.relu(self.norm("encoder.stem.norm", self.conv("encoder.stem.conv", x, c["width"], 7, stem_stride)))
        for stage, count in enumerate(blocks):
            for i in range(count):
                s, out = f"encoder.stage.{stage}.block.{i}", c["width"] * 2 ** stage
                stride = 2 if stage > 0 and i == 0 else 1
                y = F.relu(self.norm(s + ".norm.0", self.conv(s + ".conv.0", x, out, taps[0], stride)))
                y = self.norm(s + ".norm.1", self.conv(s + ".conv.1", y, out, taps[1]))
                if stride > 1 or x.shape[1] != out:
                    x = self.norm(s + ".shortcut.norm", self.conv(s + ".shortcut.conv", x, out, 1, stride))
                x = F.relu(x + y)
        return x

    # -- Kiyasseh et al. 2021 (CLOCS): the whole segment is one token

    def clocs_cnn(self, c, x):
        for i, out in enumerate([4, 16, 32]):
            s = f"encoder.conv.{i}"
            x = F.relu(self.norm(s + ".norm", self.conv(s + ".conv", x, out, 7, 3, True, False)))
            x = F.max_pool1d(x, 2)
        return self.linear("encoder.embed", x.transpose(1, 2).flatten(1), c["width"])[:, :, None]

    # -- state space: Gu et al. 2022 (S4D), the kernel written out and applied as a matrix

    def ssm(self, s, x, pairs, directions):
        """x [B,H,T]; backward in time from the next sample on, forward from this one."""
        H, T = x.shape[1:]
        dt = self.p(s + ".step", (H,), "step").exp()[:, None]
        a = torch.complex(-self.p(s + ".real", (H, pairs), "decay").exp(),
                          self.p(s + ".imaginary", (H, pairs), "tone"))
        c = torch.view_as_complex(self.p(s + ".output", (directions, H, pairs, 2), "plain"))
        skip = self.p(s + ".skip", (H,), "plain")
        gain = c * (torch.exp(dt * a) - 1) / a
        powers = torch.exp((dt * a)[..., None] * torch.arange(T))
        kernel = 2 * torch.einsum("dhn,hnl->dhl", gain, powers).real
        ago = torch.arange(T)[:, None] - torch.arange(T)[None, :]
        matrix = torch.where(ago >= 0, kernel[0][:, ago.clamp(min=0)], torch.zeros(()).to(kernel))
        if directions == 2:
            matrix = matrix + torch.where(ago < 0, kernel[1][:, (-ago - 1).clamp(min=0)],
                                          torch.zeros(()).to(kernel))
        return torch.einsum("hij,bhj->bhi", matrix, x) + skip[:, None] * x

    def stem(self, c, x):
        """[B,L,T] -> [B,T',C]: a linear layer, or convolutions with norm and ReLU."""
        kernels = c.get("stem", "linear")
        if kernels == "linear":
            return self.linear("encoder.embed", x.transpose(1, 2), c["width"])
        kernels = [int(k) for k in kernels.split(",")]
        strides = [int(k) for k in c.get("stem_strides", "1").split(",")]
        strides = strides * len(kernels) if len(strides) == 1 else strides
        for i, (k, stride) in enumerate(zip(kernels, strides)):
            s = f"encoder.stem.{i}"
            x = F.relu(self.norm(s + ".norm", self.conv(s + ".conv", x, c["stem_width"], k, stride)))
        return x.transpose(1, 2)

    def s4(self, c, x):
        x = self.extracted = self.stem(c, x)
        if c.get("stem", "linear") != "linear":
            x = self.linear("encoder.embed", x, c["width"])
        directions = 1 if c.get("direction") == "causal" else 2
        for i in range(c["depth"]):
            s = f"encoder.block.{i}"
            y = self.ssm(s + ".ssm", x.transpose(1, 2), max(c["state"] // 2, 1), directions).transpose(1, 2)
            a, b = self.linear(s + ".out", F.gelu(y), 2 * x.shape[2]).chunk(2, dim=2)
            x = self.layer_norm(s + ".norm", x + a * torch.sigmoid(b))
        return x.transpose(1, 2)

    # -- recurrence: PyTorch's own, its second bias zero

    def lstm(self, c, x):
        x = self.extracted = self.stem(c, x)
        H = c["width"]
        for i in range(c["depth"]):
            s = f"encoder.layer.{i}"
            w = self.p(s + ".input.weight", (4 * H, x.shape[2]), "weight")
            b = self.p(s + ".input.bias", (4 * H,), "offset")
            u = self.p(s + ".recurrent.weight", (4 * H, H), "weight")
            zero = x.new_zeros((1, x.shape[0], H))
            x = torch._VF.lstm(x, (zero, zero), [w, u, b, torch.zeros_like(b)], True, 1, 0.0, False, False,
                               True)[0]
        return x.transpose(1, 2)

    # -- what follows

    def head(self, spec, x, classes):
        parts = {"mean": x.mean(2), "max": x.amax(2), "last": x[:, :, -1]}
        y = torch.cat([parts[k] for k in spec["network"]["pool"].split("_")], dim=1)
        if spec["network"].get("head", "linear") == "mlp":
            y = self.norm("head.norm0", y)
            y = self.norm("head.norm1", F.relu(self.linear("head.hidden", y, spec["head"]["width"])))
        return self.linear("head", y, classes)

    def cpc(self, c, x, picks):
        """x [B,C,T] the context, self.extracted [B,T,C] what is predicted; picks -1: no positive."""
        y = x.transpose(1, 2)
        if c.get("head", "linear") == "mlp":
            y = F.relu(self.linear("cpc.hidden", y, y.shape[2]))
        y = self.linear("cpc.predict", y, self.extracted.shape[2], bias=False)
        rows = torch.arange(y.shape[0])[:, None, None]
        keys = self.extracted[rows, picks.clamp(min=0).long()]  # [B,N,1+K,C]
        losses = F.cross_entropy(torch.einsum("bnc,bnkc->bnk", y, keys).flatten(0, 1),
                                 torch.zeros(picks[:, :, 0].numel(), dtype=torch.long), reduction="none")
        there = (picks[:, :, 0] >= 0).flatten()
        return losses[there].sum() / (there.sum() if c.get("reduction", "mean") == "mean" else picks.shape[0])

    def encode(self, spec, x):
        name = spec["network"]["backbone"]
        return getattr(self, name)(spec[name], x)


# ---- fixtures ---------------------------------------------------------------------------------------

def mlp(name, **c):
    return {"network": {"backbone": name, "pool": "mean_max", "head": "mlp"}, name: c,
            "head": {"width": 10, "dropout": 0, "input_dropout": 0}}


def plain(name, pool="mean", **c):
    return {"network": {"backbone": name, "pool": pool, "head": "linear"}, name: c}


PLANS = OrderedDict([
    # odd lengths: the last window of a pool is not whole
    ("xresnet1d_18", dict(spec=mlp("xresnet1d", depth="18", width=8), records=3, leads=3, samples=75)),
    ("xresnet1d_50", dict(spec=mlp("xresnet1d", depth="50", width=8, kernel=3), records=8, leads=2,
                          samples=82)),
    ("resnet1d_wang", dict(spec=mlp("resnet1d", depth="wang", width=8), records=4, leads=3, samples=37)),
    ("resnet1d_18", dict(spec=plain("resnet1d", depth="18", width=8), records=5, leads=2, samples=71)),
    ("clocs_cnn", dict(spec=plain("clocs_cnn", width=8, dropout=0), records=4, leads=1, samples=700)),
    ("s4_both", dict(spec=plain("s4", width=12, depth=2, state=6, direction="both", dropout=0), records=3,
                     leads=3, samples=41)),
    ("s4_causal", dict(spec=plain("s4", "mean_max_last", width=8, depth=2, state=1, direction="causal",
                                  dropout=0), records=2, leads=2, samples=30)),
    ("s4_stem", dict(spec=plain("s4", stem="3,1", stem_strides="2,1", stem_width=6, width=8, depth=1, state=4,
                                direction="causal", dropout=0), records=3, leads=3, samples=42)),
    ("lstm", dict(spec=plain("lstm", "mean_max_last", stem="3,1", stem_strides="2,1", stem_width=6, width=8,
                             depth=2, dropout=0), records=3, leads=3, samples=42)),
    ("lstm_cpc", dict(spec=plain("lstm", stem="1,1", stem_width=7, width=8, depth=1, dropout=0), records=3,
                      leads=2, samples=20, objective={"cpc.horizon": 3, "cpc.negatives": 6})),
    ("s4_cpc", dict(spec=plain("s4", width=10, depth=2, state=4, direction="causal", dropout=0), records=3,
                    leads=3, samples=24, objective={"cpc.horizon": 5, "cpc.negatives": 7, "cpc.head": "mlp",
                                                    "cpc.reduction": "sum"})),
])


def groups(spec, key):
    return {k[len(key) + 1:]: v for k, v in spec.items() if k.startswith(key + ".")}


def results_of(plan, values, inputs):
    """Everything that the fixture says of these weights and inputs, in float64."""
    w = OrderedDict((k, x.double()) for k, x in values.items())
    out, spec = OrderedDict(), plan["spec"]
    signal = inputs["signal"].double()
    with torch.no_grad():
        net = Net(Parameters(values=w), False)
        tokens = net.encode(spec, signal)
        out["eval.tokens"] = tokens.transpose(1, 2).contiguous()
        if "target" in inputs:
            out["eval.logits"] = net.head(spec, tokens, inputs["target"].shape[1])
    learned = OrderedDict((k, x.clone().requires_grad_()) for k, x in w.items() if ".running_" not in k)
    net = Net(Parameters(values=OrderedDict(w, **learned)), True)
    x = net.encode(spec, signal)
    if "target" in inputs:
        loss = F.binary_cross_entropy_with_logits(net.head(spec, x, inputs["target"].shape[1]),
                                                  inputs["target"].double())
    else:
        loss = net.cpc(groups(plan["objective"], "cpc"), x, inputs["picks"])
    used = [k for k in learned if "target" in inputs or not k.startswith("head")]
    gradients = dict(zip(used, torch.autograd.grad(loss, [learned[k] for k in used])))
    out["loss"] = loss.detach().reshape(1)
    for k in used:
        if learned[k].numel() <= GRADIENT_MAX:
            out["grad." + k] = gradients[k]
    for k, x in net.after.items():
        out["after." + k] = x
    return out


def make_inputs(plan, g):
    B, T = plan["records"], plan["samples"]
    inputs = OrderedDict(signal=torch.randn((B, plan["leads"], T), generator=g))
    if "objective" not in plan:
        inputs["target"] = torch.randint(0, 2, (B, 5), generator=g).float()
        return inputs
    c = groups(plan["objective"], "cpc")
    N, k = T, c["horizon"]  # a token for each sample
    picks = torch.full((B, N, 1 + c["negatives"]), -1, dtype=torch.int32)
    for b in range(B):
        for i in range(N - k):
            others = torch.randint(0, N - 1, (c["negatives"],), generator=g)
            picks[b, i] = torch.cat([torch.tensor([i + k]), others + (others >= i + k)])
    inputs["picks"] = picks
    return inputs


def make_weights(plan, inputs, seed):
    p = Parameters(seed)
    with torch.no_grad():
        net = Net(p, False)
        x = net.encode(plan["spec"], inputs["signal"])
        if "target" in inputs:
            net.head(plan["spec"], x, inputs["target"].shape[1])
        else:
            net.cpc(groups(plan["objective"], "cpc"), x, inputs["picks"])
    return p.values


def stored(name, x):
    return x.float() if name.startswith(("eval.tokens", "grad.")) else x


def command_fixtures(arguments):
    for seed, (name, plan) in enumerate(PLANS.items()):
        g = torch.Generator().manual_seed(100 + seed)
        inputs = make_inputs(plan, g)
        weights = make_weights(plan, inputs, seed)
        tensors = OrderedDict(("weight." + k, x) for k, x in weights.items())
        tensors.update(("input." + k, x) for k, x in inputs.items())
        tensors.update((k, stored(k, x)) for k, x in results_of(plan, weights, inputs).items())
        metadata = {"made_by": "scripts/ref_backbones.py fixtures", "pytorch": torch.__version__,
                    "python": platform.python_version(), "spec": json.dumps(plan["spec"]),
                    "objective": json.dumps(plan.get("objective", {}))}
        path = os.path.join(arguments.out, f"net_{name}.safetensors")
        write_safetensors(path, tensors, metadata)
        print(f"{path}: {sum(x.numel() for x in weights.values())} values, {os.path.getsize(path)} bytes")
    return 0


def command_verify(arguments):
    failed = 0
    for name, plan in PLANS.items():
        tensors, metadata = read_safetensors(os.path.join(arguments.fixtures, f"net_{name}.safetensors"))
        assert json.loads(metadata["spec"]) == plan["spec"], name
        take = lambda prefix: OrderedDict((k[len(prefix):], x) for k, x in tensors.items()
                                          if k.startswith(prefix))
        results = results_of(plan, take("weight."), take("input."))
        worst = max(difference(tensors[k], x)[0] for k, x in results.items())
        print(f"net_{name}: {len(results)} tensors computed again, largest relative difference {worst:.2g}")
        failed += worst > 1e-6
    return 1 if failed else 0


def command_count(arguments):
    """Encoder and head (71 classes) for 12 leads, running statistics left out."""
    sizes = [("xresnet1d 18", mlp("xresnet1d", depth="18", width=64)),
             ("xresnet1d 50", mlp("xresnet1d", depth="50", width=64)),
             ("xresnet1d 101", mlp("xresnet1d", depth="101", width=64)),
             ("resnet1d wang", mlp("resnet1d", depth="wang", width=128)),
             ("resnet1d 18", plain("resnet1d", depth="18", width=64)),
             ("s4 512 x 4", plain("s4", width=512, depth=4, state=8))]
    for name, spec in sizes:
        if "head" in spec:
            spec["head"]["width"] = 128
        p = Parameters(0)
        with torch.no_grad():
            net = Net(p, False)
            net.head(spec, net.encode(spec, torch.randn(1, 12, 100)), 71)
        print(f"{name}: {sum(x.numel() for k, x in p.values.items() if '.running_' not in k)}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fixtures", help="write the fixtures that the unit test reads")
    one.add_argument("--out", default="tests/fixtures")
    one.set_defaults(run=command_fixtures)
    one = commands.add_parser("verify", help="compute the results of fixtures again from what they hold")
    one.add_argument("--fixtures", default="tests/fixtures")
    one.set_defaults(run=command_verify)
    one = commands.add_parser("count", help="values of the published sizes")
    one.set_defaults(run=command_count)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    sys.exit(arguments.run(arguments))


if __name__ == "__main__":
    main()
