#!/usr/bin/env python3
"""ECG-FM stated a second time, in plain PyTorch: network, span masks, quantizer, losses, optimizer.

  ref_ecgfm.py fixtures [--out tests/fixtures]      write the small fixtures that the unit tests read
  ref_ecgfm.py verify [--fixtures tests/fixtures]   compute their results again from what they hold
  ref_ecgfm.py check --ecgfm BINARY [--size small|full] [--losses PROGRAM] [--keep FOLDER]
                     a random model through `ecgfm convert` and `ecgfm infer`, and back, against this
                     statement; PROGRAM: tests/test_reference of a build, which trains it too

Written from the description of the network alone, without a look at the C sources, so that a mistake
would have to be made twice. Runs on PyTorch 1.13 and newer, and needs nothing else; without PyTorch it
says so and exits with 77. Truth is computed in float64 from float32 weights and inputs.

A fixture is a safetensors file. Its metadata says how it was made (command, versions) and holds the
configuration ("config", this script's words; "spec" and "objective", those of ecgfm). Its tensors:
  weight.NAME   parameters by their state-dict names      after.NAME   the same after the steps
  input.*       signal [B,L,T], leads [B,L] (0: the lead is masked), lengths [B] samples, hidden [B,M]
                masked tokens (-1: none), negatives [B,M,K] positions in that list, noise [B,M,G*V]
                Gumbel noise, target [B,K] and positive_weight [K] of a classifier
  layer.*       what each part gives: [B,N,C], tokens before channels
  loss.*        every term, float64, means as they are weighted by the configuration
  grad.NAME     gradient of loss.total
  step.*        the random inputs of each training step, and its losses
"""
import argparse
import ctypes
import json
import math
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict

SKIPPED = 77

try:
    import torch
    from torch.nn import functional as F
except ImportError as error:
    print(f"skipped: no PyTorch for {sys.executable} ({error})")
    sys.exit(SKIPPED)

# ---- files ------------------------------------------------------------------------------------------

DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16,
          "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def tensor_bytes(x):
    x = x.detach().contiguous()
    return ctypes.string_at(x.data_ptr(), x.numel() * x.element_size())


def write_safetensors(path, tensors, metadata):
    header, data, offset = {"__metadata__": metadata}, [], 0
    for name, x in tensors.items():
        data.append(tensor_bytes(x))
        header[name] = {"dtype": DTYPE_NAMES[x.dtype], "shape": list(x.shape),
                        "data_offsets": [offset, offset + len(data[-1])]}
        offset += len(data[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for part in data:
            f.write(part)


def read_safetensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = bytearray(f.read())
    metadata, tensors = header.pop("__metadata__", {}), OrderedDict()
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        dtype = DTYPES[entry["dtype"]]
        x = torch.frombuffer(data[begin:end], dtype=dtype) if end > begin else torch.empty(0, dtype=dtype)
        tensors[name] = x.reshape(entry["shape"])
    return tensors, metadata


def write_npy(path, x):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(x.shape)}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        f.write(tensor_bytes(x.float()))


# ---- configuration ----------------------------------------------------------------------------------

ECG_FM = dict(
    leads=12, width=768, depth=12, heads=12, hidden=3072, pre_norm=False,
    conv_layers=4, conv_width=256, conv_kernel=2, conv_stride=2, conv_norm="group", conv_bias=False,
    position_kernel=128, position_groups=16, feature_gradient=0.1,
    mask_probability=0.65, mask_length=10, mask_least=2,
    groups=2, codes=320, final=256, tau=[2.0, 0.5, 0.999995], negatives=100, temperature=0.1,
    diversity=0.1, penalty=10.0, cmsc=1.0, cmsc_temperature=0.1,
    classes=0, rate=5e-5, beta1=0.9, beta2=0.98, epsilon=1e-6, decay=0.01)


class Config:
    def __init__(self, **changed):
        self.__dict__.update(ECG_FM)
        unknown = set(changed) - set(ECG_FM)
        assert not unknown, unknown
        self.__dict__.update(changed)

    def spec(self):
        """The same in the words of an ecgfm model file."""
        return {"network": {"backbone": "w2v", "pool": "mean"},
                "w2v": {"width": self.width, "depth": self.depth, "heads": self.heads,
                        "mlp_ratio": self.hidden / self.width, "norm": "pre" if self.pre_norm else "post",
                        "conv_layers": self.conv_layers, "conv_width": self.conv_width,
                        "conv_kernel": self.conv_kernel, "conv_stride": self.conv_stride,
                        "conv_norm": self.conv_norm, "conv_norm_groups": self.conv_width,
                        "conv_bias": self.conv_bias, "position_kernel": self.position_kernel,
                        "position_groups": self.position_groups,
                        "feature_gradient": self.feature_gradient}}

    def objective(self):
        """What is not the default of ecgfm's objectives."""
        return {"w2v.mask_probability": self.mask_probability, "w2v.mask_length": self.mask_length,
                "w2v.negatives": self.negatives, "w2v.temperature": self.temperature,
                "w2v.codes": self.codes, "w2v.groups": self.groups, "w2v.dim": self.final,
                "w2v.gumbel_start": self.tau[0], "w2v.gumbel_end": self.tau[1],
                "w2v.gumbel_decay": self.tau[2], "w2v.diversity": self.diversity,
                "w2v.penalty": self.penalty, "w2v.feature_dropout": 0, "cmsc.weight": self.cmsc,
                "cmsc.temperature": self.cmsc_temperature}

    def model(self):
        """The same in the words of a fairseq-signals checkpoint: what it calls cfg["model"]."""
        conv = f"[({self.conv_width}, {self.conv_kernel}, {self.conv_stride})] * {self.conv_layers}"
        out = {"_name": "wav2vec2_cmsc", "in_d": self.leads, "encoder_layers": self.depth,
               "encoder_embed_dim": self.width, "encoder_ffn_embed_dim": self.hidden,
               "encoder_attention_heads": self.heads, "layer_norm_first": self.pre_norm,
               "extractor_mode": {"group": "default", "layer": "layer_norm"}[self.conv_norm],
               "conv_feature_layers": conv, "conv_bias": self.conv_bias,
               "conv_pos": self.position_kernel, "conv_pos_groups": self.position_groups,
               "feature_grad_mult": self.feature_gradient, "latent_vars": self.codes,
               "latent_groups": self.groups, "latent_dim": 0, "final_dim": self.final,
               "logit_temp": self.temperature, "num_negatives": self.negatives,
               "latent_temp": tuple(self.tau), "mask_prob": self.mask_probability,
               "mask_length": self.mask_length, "dropout": 0.1, "attention_dropout": 0.1,
               "activation_dropout": 0.0, "encoder_layerdrop": 0.0, "dropout_input": 0.1,
               "dropout_features": 0.1, "apply_mask": True, "quantize_targets": True}
        if self.classes:
            out.update(_name="ecg_transformer_classifier", num_labels=self.classes, model_path=None)
        return out


# ---- parameters, by the names of the published files ------------------------------------------------

def make_weights(c, seed, pretraining):
    """As they start in pre-training, with what would start at 0 or 1 moved off it."""
    g = torch.Generator().manual_seed(seed)
    w = OrderedDict()

    def normal(name, shape, deviation, mean=0.0):
        w[name] = mean + deviation * torch.randn(shape, generator=g)

    def uniform(name, shape, low, high):
        w[name] = low + (high - low) * torch.rand(shape, generator=g)

    def linear(name, out, inner):
        bound = 1 / math.sqrt(inner)
        uniform(name + ".weight", (out, inner), -bound, bound)
        uniform(name + ".bias", (out,), -bound, bound)

    def norm(name, width):
        normal(name + ".weight", (width,), 0.1, 1.0)
        normal(name + ".bias", (width,), 0.1)

    D, C = c.width, c.conv_width
    if pretraining:
        uniform("mask_emb", (D,), 0, 1)
    for i in range(c.depth):
        p = f"encoder.layers.{i}."
        for part in ("k", "v", "q", "out"):
            normal(p + f"self_attn.{part}_proj.weight", (D, D), 1 / math.sqrt(D))
            normal(p + f"self_attn.{part}_proj.bias", (D,), 0.1)
        norm(p + "self_attn_layer_norm", D)
        linear(p + "fc1", c.hidden, D)
        linear(p + "fc2", D, c.hidden)
        norm(p + "final_layer_norm", D)
    norm("encoder.layer_norm", D)
    for i in range(c.conv_layers):
        p, inner = f"feature_extractor.conv_layers.{i}.", c.leads if i == 0 else C
        normal(p + "0.weight", (C, inner, c.conv_kernel), math.sqrt(2 / (inner * c.conv_kernel)))
        if c.conv_bias:
            normal(p + "0.bias", (C,), 0.1)
        if c.conv_norm == "group" and i == 0:
            norm(p + "2", C)
        elif c.conv_norm == "layer":
            norm(p + "2.1", C)
    if D != C:
        linear("post_extract_proj", D, C)
    normal("conv_pos.pos_conv.0.bias", (D,), 0.1)
    deviation = math.sqrt(4 / (c.position_kernel * D))
    v = deviation * torch.randn((D, D // c.position_groups, c.position_kernel), generator=g)
    size = v.pow(2).sum((0, 1), keepdim=True).sqrt()
    w["conv_pos.pos_conv.0.weight_g"] = size * (0.5 + torch.rand(size.shape, generator=g))
    w["conv_pos.pos_conv.0.weight_v"] = v
    norm("layer_norm", C)
    if pretraining:
        uniform("quantizer.vars", (1, c.groups * c.codes, c.final // c.groups), 0, 1)
        normal("quantizer.weight_proj.weight", (c.groups * c.codes, C), 1)
        normal("quantizer.weight_proj.bias", (c.groups * c.codes,), 0.1)
        linear("project_q", c.final, c.final)
        linear("final_proj", c.final, D)
    if c.classes:
        normal("proj.weight", (c.classes, D), math.sqrt(2 / (c.classes + D)))
        normal("proj.bias", (c.classes,), 0.1)
    return w


def published_names(c, w, spelling):
    """spelling: old (weight_g, weight_v) or new (parametrizations) weight norm; the encoder of a
    classifier is one level deeper."""
    out = OrderedDict()
    for name, x in w.items():
        if spelling == "new":
            name = name.replace("0.weight_g", "0.parametrizations.weight.original0")
            name = name.replace("0.weight_v", "0.parametrizations.weight.original1")
        if c.classes and not name.startswith("proj."):
            name = "encoder." + name
        out[name] = x
    return out


def own_names(c, w):
    """The inverse of published_names."""
    out = OrderedDict()
    for name, x in w.items():
        if c.classes and name.startswith("encoder."):
            name = name[len("encoder."):]
        name = name.replace("0.parametrizations.weight.original0", "0.weight_g")
        name = name.replace("0.parametrizations.weight.original1", "0.weight_v")
        out[name] = x
    return out


# ---- the network ------------------------------------------------------------------------------------

class ScaleGradient(torch.autograd.Function):
    """The same forward; the gradient times a factor backward."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.factor, None


def layer_norm(w, name, x):
    return F.layer_norm(x, (x.shape[-1],), w[name + ".weight"], w[name + ".bias"], 1e-5)


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])


def extract(w, c, x, trace):
    """[B,L,T] -> [B,C,N]"""
    for i in range(c.conv_layers):
        p = f"feature_extractor.conv_layers.{i}."
        x = F.conv1d(x, w[p + "0.weight"], w.get(p + "0.bias"), stride=c.conv_stride)
        if c.conv_norm == "group" and i == 0:
            x = F.group_norm(x, c.conv_width, w[p + "2.weight"], w[p + "2.bias"], 1e-5)
        elif c.conv_norm == "layer":
            x = layer_norm(w, p + "2.1", x.transpose(1, 2)).transpose(1, 2)
        x = F.gelu(x)
        trace[f"conv.{i}"] = x.transpose(1, 2)
    return x


def position_weight(w):
    g, v = w["conv_pos.pos_conv.0.weight_g"], w["conv_pos.pos_conv.0.weight_v"]
    return g * v / v.pow(2).sum((0, 1), keepdim=True).sqrt()


def position(w, c, x):
    """[B,N,D] -> the same shape"""
    y = F.conv1d(x.transpose(1, 2), position_weight(w), w["conv_pos.pos_conv.0.bias"],
                 padding=c.position_kernel // 2, groups=c.position_groups)
    if c.position_kernel % 2 == 0:
        y = y[:, :, :-1]
    return F.gelu(y).transpose(1, 2)


def attention(w, c, p, x, padded):
    B, N, D = x.shape

    def heads(name):
        return linear(w, p + name, x).view(B, N, c.heads, D // c.heads).transpose(1, 2)

    scores = (heads("q_proj") * (D // c.heads) ** -0.5) @ heads("k_proj").transpose(2, 3)
    if padded is not None:
        scores = scores.masked_fill(padded[:, None, None, :], -math.inf)
    share = scores.softmax(-1)
    mixed = (share @ heads("v_proj")).transpose(1, 2).reshape(B, N, D)
    return linear(w, p + "out_proj", mixed), share.mean(1)


def transformer_layer(w, c, i, x, padded, trace):
    p = f"encoder.layers.{i}."

    def feed_forward(y):
        return linear(w, p + "fc2", F.gelu(linear(w, p + "fc1", y)))

    if c.pre_norm:
        mixed, share = attention(w, c, p + "self_attn.", layer_norm(w, p + "self_attn_layer_norm", x), padded)
        x = x + mixed
        x = x + feed_forward(layer_norm(w, p + "final_layer_norm", x))
    else:
        mixed, share = attention(w, c, p + "self_attn.", x, padded)
        x = layer_norm(w, p + "self_attn_layer_norm", x + mixed)
        x = layer_norm(w, p + "final_layer_norm", x + feed_forward(x))
    trace[f"attention.{i}"] = share
    trace[f"block.{i}"] = x
    return x


def tokens_of(c, samples):
    for _ in range(c.conv_layers):
        samples = (samples - c.conv_kernel) // c.conv_stride + 1
    return samples


def padding_of(c, lengths, samples):
    """Which tokens are padding, [B,N]; None where no sample is."""
    if lengths is None or all(int(length) == samples for length in lengths):
        return None
    valid = torch.tensor([tokens_of(c, int(length)) for length in lengths])
    return torch.arange(tokens_of(c, samples))[None, :] >= valid[:, None]


def encode(w, c, signal, padded=None, hidden=None, trace=None):
    """signal [B,L,T]; padded [B,N] or None; hidden [B,N] or None -> tokens [B,N,D], what the quantizer
    sees [B,N,C], mean square of the extracted features."""
    trace = {} if trace is None else trace
    if c.feature_gradient > 0:
        x = ScaleGradient.apply(extract(w, c, signal, trace), c.feature_gradient)
    else:
        with torch.no_grad():
            x = extract(w, c, signal, trace)
    square = x.pow(2).mean()
    x = features = trace["features"] = layer_norm(w, "layer_norm", x.transpose(1, 2))
    if c.width != c.conv_width:
        x = linear(w, "post_extract_proj", x)
    trace["embed"] = x
    if hidden is not None:
        x = torch.where(hidden[:, :, None], w["mask_emb"], x)
    x = x + position(w, c, x)
    trace["position"] = x
    if padded is not None:
        x = x.masked_fill(padded[:, :, None], 0.0)
    if not c.pre_norm:
        x = layer_norm(w, "encoder.layer_norm", x)
    trace["start"] = x
    for i in range(c.depth):
        x = transformer_layer(w, c, i, x, padded, trace)
    if c.pre_norm:
        x = layer_norm(w, "encoder.layer_norm", x)
    trace["tokens"] = x
    return x, features, square


def pool(x, padded):
    """Mean over the tokens that count, as a sum over a number of values that are not zero."""
    if padded is not None:
        x = x.masked_fill(padded[:, :, None], 0.0)
    return x.sum(1) / (x != 0).sum(1)


# ---- random inputs of pre-training ------------------------------------------------------------------

def draw_spans(c, sizes, padded, g):
    """Lists of masked tokens, all of the same length: spans from distinct starts, joined, and a random
    part of those of every record but the least masked."""
    def count(size):
        drawn = float(torch.rand(1, generator=g))
        return max(c.mask_least, int(c.mask_probability * size / c.mask_length + drawn))

    shared = None if padded else count(sizes[0])
    lists = []
    for size in sizes:
        n = count(size) if padded else shared
        starts = size - c.mask_length if size - c.mask_length > n else n + 1
        picked = torch.randperm(starts, generator=g)[:n].tolist()
        lists.append(sorted({t for s in picked for t in range(s, s + c.mask_length) if t < size}))
    least = min(len(tokens) for tokens in lists)
    for b, tokens in enumerate(lists):
        kept = torch.randperm(len(tokens), generator=g)[:least].tolist()
        lists[b] = sorted(tokens[k] for k in kept)
    return torch.tensor(lists)


def draw_batch(c, sizes, padded, g):
    hidden = draw_spans(c, sizes, padded, g)
    B, M = hidden.shape
    draws = torch.randint(0, M - 1, (B, M, c.negatives), generator=g)
    negatives = draws + (draws >= torch.arange(M)[None, :, None]).long()
    uniform = torch.rand((B, M, c.groups * c.codes), generator=g).clamp(1e-7, 1 - 1e-7)
    leads = (torch.rand((B, c.leads), generator=g) >= 0.5).to(torch.uint8)
    return {"hidden": hidden, "negatives": negatives, "noise": -(-uniform.log()).log(), "leads": leads}


# ---- losses -----------------------------------------------------------------------------------------

def temperature(c, updates):
    return max(c.tau[0] * c.tau[2] ** updates, c.tau[1])


def perplexity(share):
    """share [rows,G,V] -> exp of the entropy of the mean share, summed over the groups."""
    p = share.mean(0)
    return torch.exp(-(p * (p + 1e-7).log()).sum(-1)).sum()


def quantize(w, c, y, noise, updates):
    """y [B,M,C], noise [B,M,G*V] or None -> vectors [B,M,final], picked codes, perplexities, margin of
    the closest choice. Forward the vector of the best code, backward that of the soft choice."""
    B, M, _ = y.shape
    logits = linear(w, "quantizer.weight_proj", y).view(B * M, c.groups, c.codes)
    noisy = logits if noise is None else logits + noise.reshape(B * M, c.groups, c.codes)
    best = noisy.topk(2, -1)
    codes = best.indices[..., 0]
    choice = F.one_hot(codes, c.codes).to(y.dtype)
    plain = F.one_hot(logits.argmax(-1), c.codes).to(y.dtype)
    if noise is not None:
        soft = (noisy / temperature(c, updates)).softmax(-1)
        choice = choice + (soft - soft.detach())
    vectors = w["quantizer.vars"].view(c.groups, c.codes, -1)
    out = torch.stack([choice[:, g] @ vectors[g] for g in range(c.groups)], 1)
    return (out.reshape(B, M, -1), codes.view(B, M, -1), perplexity(plain), perplexity(logits.softmax(-1)),
            (best.values[..., 0] - best.values[..., 1]).min())


def contrast(p, q, codes, negatives, c):
    """p, q [B,M,final], negatives [B,M,K] -> mean of -log softmax at the true target, accuracy. A
    negative that is the same vector as the target, which is one of the same codes, does not count."""
    B, M, K = negatives.shape
    rows = torch.arange(B)[:, None, None]
    candidates = torch.cat([q[:, :, None], q[rows, negatives]], 2)
    logits = F.cosine_similarity(p[:, :, None], candidates, dim=-1, eps=1e-8) / c.temperature
    same = (codes[rows, negatives] == codes[:, :, None]).all(-1)
    same = torch.cat([torch.zeros((B, M, 1), dtype=torch.bool), same], 2)
    logits = logits.masked_fill(same, -math.inf).view(B * M, K + 1)
    right = (logits.argmax(-1) == 0) & (logits.argmin(-1) != 0)
    return -logits.log_softmax(-1)[:, 0].mean(), right.double().mean()


def cmsc(z, c, records):
    """z [2P,D]: segment 0 of P records, then segment 1 of each. Lengths are constants."""
    z = z / z.detach().norm(dim=1, keepdim=True).clamp_min(1e-8)
    a, b = z.chunk(2)
    first, second = records.chunk(2)
    logits = a @ b.t() / c.cmsc_temperature
    match = first[:, None] == second[None, :]
    return -0.5 * (logits.log_softmax(1)[match].mean() + logits.log_softmax(0)[match].mean())


def pretraining_losses(w, c, signal, lengths, records, batch, updates, trace=None):
    """Every term as it is weighted, and their weighted sum: the sum over rows, over rows."""
    signal = signal * batch["leads"].to(signal.dtype)[:, :, None]
    padded = padding_of(c, lengths, signal.shape[2])
    index = batch["hidden"]
    hidden = torch.zeros((signal.shape[0], tokens_of(c, signal.shape[2])), dtype=torch.bool)
    hidden.scatter_(1, index, True)
    x, features, square = encode(w, c, signal, padded, hidden, trace)
    rows = torch.arange(signal.shape[0])[:, None]
    quantized, codes, code_perplexity, prob_perplexity, margin = quantize(
        w, c, features[rows, index], batch["noise"].to(signal.dtype), updates)
    q = linear(w, "project_q", quantized)
    p = linear(w, "final_proj", x[rows, index])
    nce, accuracy = contrast(p, q, codes, batch["negatives"], c)
    every = c.groups * c.codes
    out = {"contrast": nce, "diversity": (every - prob_perplexity) / every, "penalty": square,
           "cmsc": cmsc(pool(x, padded), c, records)}
    out["total"] = (out["contrast"] + c.diversity * out["diversity"] + c.penalty * out["penalty"] +
                    c.cmsc * out["cmsc"])
    out.update(accuracy=accuracy, code_perplexity=code_perplexity, probability_perplexity=prob_perplexity,
               margin=margin)
    if trace is not None:
        trace.update(quantized=quantized, targets=q, predictions=p)
    return out


def classifier_losses(w, c, signal, lengths, target, positive_weight, trace=None):
    trace = {} if trace is None else trace
    padded = padding_of(c, lengths, signal.shape[2])
    x, _, _ = encode(w, c, signal, padded, None, trace)
    trace["pooled"] = pool(x, padded)
    z = trace["logits"] = linear(w, "proj", trace["pooled"])
    terms = positive_weight * target * F.logsigmoid(z) + (1 - target) * F.logsigmoid(-z)
    return {"total": -terms.mean()}


# ---- optimizer --------------------------------------------------------------------------------------

class Adam:
    def __init__(self, c):
        self.c, self.t, self.m, self.v = c, 0, {}, {}

    def step(self, w):
        c = self.c
        self.t += 1
        size = c.rate * math.sqrt(1 - c.beta2 ** self.t) / (1 - c.beta1 ** self.t)
        with torch.no_grad():
            for name, p in w.items():
                g = p.grad
                if g is None:
                    continue
                m = self.m[name] = c.beta1 * self.m.get(name, 0) + (1 - c.beta1) * g
                v = self.v[name] = c.beta2 * self.v.get(name, 0) + (1 - c.beta2) * g * g
                if c.decay:
                    p -= c.decay * c.rate * p
                p -= size * m / (v.sqrt() + c.epsilon)


# ---- fixtures ---------------------------------------------------------------------------------------

STEPS = 10
SMALL = dict(width=32, depth=2, heads=4, hidden=64, conv_width=16, conv_layers=4, position_kernel=16,
             position_groups=4, groups=2, codes=12, final=16, negatives=8, rate=1e-3)
FIXTURES = {
    # as ECG-FM is: group norm, norms after the sums, one lead missing; two pairs of one record
    "w2v_pretrain_group": dict(seed=28, records=3, ids=[7, 4, 7], samples=400, zero_lead=4, spelling="old",
                               config={}),
    # layer norms, biases, norms before the branches, an odd kernel, windows that overlap
    "w2v_pretrain_layer": dict(
        seed=2, records=3, samples=240, zero_lead=11, spelling="new",
        config=dict(conv_norm="layer", conv_bias=True, pre_norm=True, conv_layers=3, conv_kernel=3,
                    position_kernel=9, position_groups=2, mask_length=6, feature_gradient=1.0,
                    tau=[1.0, 0.5, 0.9])),
    # fine-tuning with a frozen extractor and positive weights, padding, embedding as it is extracted
    "w2v_classifier": dict(
        seed=3, records=4, samples=400, lengths=[400, 320, 399, 163], zero_lead=7, spelling="new",
        config=dict(classes=5, feature_gradient=0.0, depth=3, epsilon=1e-8, decay=0.0)),
    "w2v_classifier_pre": dict(
        seed=4, records=3, samples=320, spelling="old",
        config=dict(classes=3, pre_norm=True, conv_norm="layer", feature_gradient=0.5, depth=2,
                    decay=0.1)),
}


def as_double(tensors):
    return OrderedDict((k, x.double() if x.is_floating_point() else x.long()) for k, x in tensors.items())


def leaves(w):
    return OrderedDict((name, x.clone().requires_grad_()) for name, x in w.items())


def take(tensors, prefix):
    return OrderedDict((k[len(prefix):], x) for k, x in tensors.items() if k.startswith(prefix))


def batch_of(c, inputs, i=None):
    """The random inputs, those of a step where they have a leading axis, cut to the tokens there are."""
    batch = {k: inputs[k] if i is None else inputs[k][i] for k in ("hidden", "negatives", "noise", "leads")}
    M = int((batch["hidden"][0] >= 0).sum())
    return {k: x if k == "leads" else x[:, :M] for k, x in batch.items()}


def compute(c, w, inputs, steps, after=True):
    """Every result of a fixture from weights and inputs, all float64 and int64."""
    signal, lengths = inputs["signal"], inputs.get("lengths")

    def losses(w, i, trace=None):
        if c.classes:
            return classifier_losses(w, c, signal, lengths, inputs["target"], inputs["positive_weight"],
                                     trace)
        batch = batch_of(c, inputs) if i is None else batch_of(c, steps, i)
        return pretraining_losses(w, c, signal, lengths, inputs["records"], batch, i or 0, trace)

    out, trace = OrderedDict(), OrderedDict()
    if not c.classes:  # as it is seen without masks
        with torch.no_grad():
            plain = {}
            encode(w, c, signal, padding_of(c, lengths, signal.shape[2]), None, plain)
            out["layer.unmasked_tokens"] = plain["tokens"]
    w = leaves(w)
    values = losses(w, None, trace)
    values["total"].backward()
    out.update(("layer." + k, x.detach()) for k, x in trace.items())
    out.update(("loss." + k, x.detach().double()) for k, x in values.items())
    out.update(("grad." + k, torch.zeros_like(x) if x.grad is None else x.grad) for k, x in w.items())
    del values, trace
    adam, series = Adam(c), []
    for i in range(STEPS):
        for x in w.values():
            x.grad = None
        values = losses(w, i)
        values["total"].backward()
        series.append({k: float(x.detach()) for k, x in values.items()})
        adam.step(w)
    for k in series[0]:
        out["step.loss." + k] = torch.tensor([s[k] for s in series], dtype=torch.float64)
    if after:
        out.update(("after." + k, x.detach()) for k, x in w.items())
    return out


def padded_to(x, M, value):
    return F.pad(x, (0, 0) * (x.dim() - 2) + (0, M - x.shape[1]), value=value)


def make_inputs(c, plan):
    g = torch.Generator().manual_seed(plan["seed"] + 1000)
    B = plan["records"] * (1 if c.classes else 2)
    T, lengths, inputs, steps = plan["samples"], plan.get("lengths"), OrderedDict(), OrderedDict()
    signal = torch.randn((B, c.leads, T), generator=g)
    if "zero_lead" in plan:
        signal[0, plan["zero_lead"]] = 0
    if lengths:
        for b, length in enumerate(lengths):
            signal[b, :, length:] = 0
        inputs["lengths"] = torch.tensor(lengths)
    inputs["signal"] = signal
    if c.classes:
        inputs["target"] = (torch.rand((B, c.classes), generator=g) < 0.4).float()
        inputs["positive_weight"] = 0.5 + 3 * torch.rand((c.classes,), generator=g)
        return inputs, steps
    inputs["records"] = torch.tensor(plan.get("ids", range(plan["records"]))).repeat(2)
    sizes = [tokens_of(c, length) for length in lengths or [T] * B]
    inputs.update(draw_batch(c, sizes, bool(lengths), g))
    drawn = [draw_batch(c, sizes, bool(lengths), g) for _ in range(STEPS)]
    M = max(x["hidden"].shape[1] for x in drawn)
    for k, fill in (("hidden", -1), ("negatives", 0), ("noise", 0.0)):
        steps[k] = torch.stack([padded_to(x[k], M, fill) for x in drawn])
    steps["leads"] = torch.stack([x["leads"] for x in drawn])
    return inputs, steps


def stored(x):
    """As a fixture holds it: float32, int32 or bytes; losses stay float64."""
    if x.dtype == torch.int64:
        return x.int()
    return x


def write_fixture(path, c, plan, after=True):
    w = make_weights(c, plan["seed"], not c.classes)
    inputs, steps = make_inputs(c, plan)
    results = compute(c, as_double(w), as_double(inputs), as_double(steps), after)
    tensors = OrderedDict(("weight." + k, x) for k, x in published_names(c, w, plan["spelling"]).items())
    tensors.update(("input." + k, stored(x)) for k, x in inputs.items())
    tensors.update(("step." + k, stored(x)) for k, x in steps.items())
    for k, x in results.items():
        prefix, rest = k.split(".", 1)
        if prefix in ("grad", "after"):
            k = prefix + "." + next(iter(published_names(c, {rest: x}, plan["spelling"])))
        tensors[k] = x if "loss." in k else x.float()
    metadata = {"command": "scripts/ref_ecgfm.py fixtures",
                "versions": f"Python {platform.python_version()}, PyTorch {torch.__version__}, "
                            f"{platform.machine()}",
                "config": json.dumps(c.__dict__), "spec": json.dumps(c.spec()),
                "objective": json.dumps({} if c.classes else c.objective())}
    write_safetensors(path, tensors, metadata)
    print(f"{path}: {os.path.getsize(path)} bytes, loss {float(results['loss.total']):.6f}"
          + ("" if c.classes else f", margin {float(results['loss.margin']):.2g}, over the steps "
             f"{float(results['step.loss.margin'].min()):.2g}"), flush=True)


def command_fixtures(arguments):
    torch.set_num_threads(1)  # so that the same is written again
    os.makedirs(arguments.out, exist_ok=True)
    for name, plan in FIXTURES.items():
        path = os.path.join(arguments.out, name + ".safetensors")
        write_fixture(path, Config(**dict(SMALL, **plan["config"])), plan)
        if os.path.getsize(path) >= 1 << 20:
            sys.exit(f"{path} is larger than 1 MB")
    return 0


def difference(a, b):
    """Root of the squared error over the squared size, and the largest error. What is zero but for
    rounding, as the gradient of keys' biases is, has no relative error."""
    a, b = a.double(), b.double()
    return float((a - b).norm() / (b.norm() + 1e-9)), float((a - b).abs().max())


def known_values():
    """What can be told without a program: (what, found, expected)."""
    v = torch.ones((768, 48, 128), dtype=torch.float64)
    w = {"conv_pos.pos_conv.0.weight_v": v, "conv_pos.pos_conv.0.weight_g": torch.ones((1, 1, 128))}
    yield "weight of a tap, all directions alike", float(position_weight(w).max()), 1 / 192
    uniform = torch.full((5, 2, 320), 1 / 320, dtype=torch.float64)
    yield "perplexity of uniform codes", float(perplexity(uniform)) / 640, 1 / (1 + 320e-7)
    z = torch.eye(64, dtype=torch.float64).repeat(2, 1)
    yield "cmsc of orthonormal pairs", float(cmsc(z, Config(), torch.arange(64).repeat(2))), 0.0028559
    same = torch.ones((1, 4, 8), dtype=torch.float64)
    codes, others = torch.zeros((1, 4, 2)), torch.zeros((1, 4, 3), dtype=torch.int64)
    yield "contrast of equal targets", float(contrast(same, same, codes, others, Config())[0]), 0.0
    yield "tokens of 5 s, 10 s and 16 samples", tokens_of(Config(), 2500) + tokens_of(Config(), 5000) \
        + tokens_of(Config(), 16), 156 + 312 + 1
    g = torch.Generator().manual_seed(5)
    spans = [draw_spans(Config(), [156] * 4, False, g).numel() for _ in range(200)]
    share = [draw_spans(Config(), [156], False, g).numel() / 156 for _ in range(800)]
    yield "share of masked tokens, off 0.49 by", max(abs(sum(share) / len(share) - 0.49) - 0.015, 0), 0
    yield "masked tokens of four records, remainder", sum(n % 4 for n in spans), 0


def command_verify(arguments):
    failed = 0
    for what, found, expected in known_values():
        if abs(found - expected) > 1e-6:
            print(f"{what}: {found}, expected {expected}")
            failed += 1
    names = sorted(f for f in os.listdir(arguments.fixtures) if f.startswith("w2v_"))
    for file in names:
        tensors, metadata = read_safetensors(os.path.join(arguments.fixtures, file))
        c = Config(**json.loads(metadata["config"]))
        w = own_names(c, take(tensors, "weight."))
        results = compute(c, as_double(w), as_double(take(tensors, "input.")),
                          as_double(take(tensors, "step.")))
        worst = 0.0
        for k, x in results.items():
            prefix, rest = k.split(".", 1)
            found = own_names(c, take(tensors, prefix + ".")).get(rest)
            if found is None or found.shape != x.shape:
                print(f"{file}: {k} is missing or has another shape")
                failed += 1
                continue
            worst = max(worst, difference(found, x)[0])
        print(f"{file}: {len(results)} tensors computed again, largest relative difference {worst:.2g}")
        failed += worst > 1e-6
    return 1 if failed or not names else 0


# ---- the binary against this statement --------------------------------------------------------------

SIZES = {
    "small": dict(width=48, depth=3, heads=4, hidden=96, conv_width=32, position_kernel=16,
                  position_groups=4, codes=20, final=16),
    "full": {},
}
TOLERANCE = 1e-4


def save_checkpoint(path, c, w, spelling, with_optimizer):
    """A file as fairseq-signals saves it, through a file object (so that its folder is `archive`)."""
    model = OrderedDict((k, x.clone()) for k, x in published_names(c, w, spelling).items())
    model._metadata = OrderedDict([("", {"version": 1})])
    state = {i: {"step": 7, "exp_avg": torch.zeros_like(x), "exp_avg_sq": torch.zeros_like(x)}
             for i, x in enumerate(w.values())} if with_optimizer else {}
    groups = [{"lr": c.rate, "betas": (c.beta1, c.beta2), "eps": c.epsilon, "weight_decay": c.decay,
               "params": list(range(len(w)))}]
    everything = {
        "args": None,
        "cfg": {"common": {"seed": 1, "fp16": False}, "model": c.model(),
                "task": {"_name": "ecg_classification" if c.classes else "ecg_pretraining",
                         "normalize": False, "sample_rate": 500},
                "optimizer": {"_name": "adam", "adam_betas": "(0.9, 0.98)", "adam_eps": c.epsilon}},
        "model": model, "criterion": None,
        "optimizer_history": [{"criterion_name": "Wav2Vec2WithCMSCCriterion", "optimizer_name": "FairseqAdam",
                               "lr_scheduler_state": {"lr": c.rate}, "num_updates": 7}],
        "task_state": {},
        "extra_state": {"metrics": {}, "previous_training_time": 1.5, "val_loss": 2.5, "best": 2.5,
                        "train_iterator": {"epoch": 3, "iterations_in_epoch": 0, "shuffle": True}},
        "last_optimizer_state": {"state": state, "param_groups": groups}}
    with open(path, "wb") as f:
        torch.save(everything, f)


def load_checkpoint(path):
    """As strictly as this PyTorch can, without running anything that a file says: before 2.0 it knew no
    floats in such files, its own included."""
    strict = int(torch.__version__.split(".")[0]) >= 2
    return torch.load(path, map_location="cpu", **({"weights_only": True} if strict else {})), strict


def run(*command):
    begin = time.time()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout, time.time() - begin


class Report:
    def __init__(self):
        self.failed = 0

    def line(self, what, value, limit):
        good = value <= limit
        self.failed += not good
        print(f"{'ok    ' if good else 'FAILED'} {what}: {value:.3g} (at most {limit:g})", flush=True)


def scores_of(stdout, count):
    lines = [json.loads(line) for line in stdout.splitlines() if line.startswith("{")]
    rows = [[float(v) for v in line["scores"].values()] for line in lines if line.get("status") == "ok"]
    assert all(len(row) == count for row in rows), rows
    p = torch.tensor(rows, dtype=torch.float64)
    return p.log() - (1 - p).log()


def check_model(arguments, folder, c, spelling, report):
    """.pt -> model file -> tokens and scores, and -> .pt again"""
    name = "classifier" if c.classes else "pretrained"
    given, made, back = (os.path.join(folder, f"{name}{end}") for end in (".pt", ".safetensors", ".back.pt"))
    w = make_weights(c, 11, not c.classes)
    count = sum(x.numel() for x in w.values())
    save_checkpoint(given, c, w, spelling, arguments.size == "small")
    if arguments.size == "full":
        report.line(f"{name} tensors, off", abs(len(w) - (209 if c.classes else 215)), 0)
        report.line(f"{name} values, off", abs(count - (90386321 if c.classes else 90883072)), 0)
    print(f"{name}: {len(w)} tensors, {count} values, weight norm spelt the {spelling} way, "
          f"{os.path.getsize(given) / 1e6:.1f} MB")
    labels = ["--labels", "published"] if c.classes else []  # as many, which nothing in the file proves
    _, seconds = run(arguments.ecgfm, "convert", "--fresh", given, made, *labels)
    print(f"       converted in {seconds:.1f} s")

    signal = torch.randn((4, c.leads, 2500), generator=torch.Generator().manual_seed(12))
    signal[0, 3] = 0  # a lead that is missing
    signal[1, 6:] = 0
    x_path, tokens_path = os.path.join(folder, "x.npy"), os.path.join(folder, name + ".tokens.safetensors")
    write_npy(x_path, signal)
    stdout, seconds = run(arguments.ecgfm, "infer", "--model", made, "--as-is", x_path, "--tokens",
                          tokens_path, "--quiet")
    print(f"       4 records scored in {seconds:.1f} s")
    tensors, _ = read_safetensors(tokens_path)
    found = tensors["tokens"]
    truth, single = [], []
    with torch.no_grad():
        exact = as_double(w)
        for b in range(4):
            truth.append(encode(exact, c, signal[b:b + 1].double())[0])
            single.append(encode(w, c, signal[b:b + 1])[0])
        truth, single = torch.cat(truth), torch.cat(single)
        assert found.shape == truth.shape, (found.shape, truth.shape)
        report.line(f"{name} tokens against float64", difference(found, truth)[1], TOLERANCE)
        report.line(f"{name} tokens against float32", difference(found, single)[1], TOLERANCE)
        print(f"       PyTorch's float32 against its float64: {difference(single, truth)[1]:.3g}")
        if c.classes:
            logits = scores_of(stdout, c.classes)
            z = linear(exact, "proj", pool(truth, None))
            report.line(f"{name} logits against float64", difference(logits, z)[1], TOLERANCE)
    run(arguments.ecgfm, "convert", "--fresh", made, back)
    again, strict = load_checkpoint(back)
    wanted, said = c.model(), again["cfg"]["model"]
    for k in ("_name", "in_d", "encoder_layers", "encoder_embed_dim", "encoder_ffn_embed_dim",
              "encoder_attention_heads", "layer_norm_first", "extractor_mode", "conv_feature_layers",
              "conv_bias", "conv_pos", "conv_pos_groups"):
        if wanted[k] != said.get(k):
            print(f"FAILED {name}: cfg.model.{k} comes back as {said.get(k)}, not as {wanted[k]}")
            report.failed += 1
    again = again["model"]
    original = own_names(c, published_names(c, w, spelling))
    again = own_names(c, again)
    missing = sorted(set(original) ^ set(again))
    for k in missing:
        print(f"FAILED {name}: {k} is in one of the two .pt files only")
    unequal = [k for k in original if k in again and not torch.equal(original[k], again[k])]
    for k in unequal:
        print(f"FAILED {name}: {k} is not what it was")
    report.failed += len(missing) + len(unequal)
    if not missing and not unequal:
        print(f"ok     {name}: .pt -> safetensors -> .pt -> torch.load{' of weights only' if strict else ''}, "
              f"{len(original)} tensors the same bits")


def check_losses(arguments, folder, c, report):
    """Terms of the loss, gradients and ten steps of training, by the program of the unit test."""
    path = os.path.join(folder, "losses.safetensors")
    begin = time.time()
    write_fixture(path, c, dict(seed=5, records=2, samples=2500, zero_lead=4, spelling="old"), after=False)
    print(f"       the statement's {STEPS} steps took {time.time() - begin:.0f} s")
    done = subprocess.run([arguments.losses], env=dict(os.environ, ECGFM_FIXTURE=path), check=False)
    report.line("losses, gradients and steps, exit status", done.returncode, 0)


def command_check(arguments):
    report = Report()
    with tempfile.TemporaryDirectory(prefix="ref_ecgfm-") as scratch:
        folder = arguments.keep or scratch
        os.makedirs(folder, exist_ok=True)
        size = SIZES[arguments.size]
        print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, size {arguments.size}")
        check_model(arguments, folder, Config(**size), "old", report)
        check_model(arguments, folder, Config(classes=17, **size), "new", report)
        if arguments.size == "small":
            other = dict(size, pre_norm=True, conv_norm="layer", conv_bias=True, conv_layers=3, heads=2)
            check_model(arguments, folder, Config(**other), "new", report)
        if arguments.losses:
            check_losses(arguments, folder, Config(**size), report)
    return 1 if report.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fixtures", help="write the small fixtures that the unit tests read")
    one.add_argument("--out", default="tests/fixtures")
    one.set_defaults(run=command_fixtures)
    one = commands.add_parser("verify", help="compute the results of fixtures again from what they hold")
    one.add_argument("--fixtures", default="tests/fixtures")
    one.set_defaults(run=command_verify)
    one = commands.add_parser("check", help="the binary against this statement")
    one.add_argument("--ecgfm", required=True, metavar="BINARY")
    one.add_argument("--size", choices=sorted(SIZES), default="small")
    one.add_argument("--losses", metavar="PROGRAM",
                     help="also losses, gradients and training, by tests/test_reference of a build")
    one.add_argument("--keep", metavar="FOLDER", help="leave the files there")
    one.set_defaults(run=command_check)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    sys.exit(arguments.run(arguments))


if __name__ == "__main__":
    main()
