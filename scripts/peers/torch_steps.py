# Runs a training script of PyTorch that steps a OneCycleLR after each batch, unchanged, until its last
# batch, and prints the seconds of each epoch but the first: from the last step of one epoch to the last of
# the next. What the script does after its last batch (evaluation) is not run.
#   torch_steps.py EPOCHS SCRIPT ARGUMENT...
import runpy, sys, time
import torch

epochs = int(sys.argv[1])
times = []
step = torch.optim.lr_scheduler.OneCycleLR.step


def timed(self, *arguments, **named):
    result = step(self, *arguments, **named)
    times.append(time.perf_counter())  # the first call is the scheduler's own, before any batch
    if len(times) == self.total_steps + 1:
        batches = self.total_steps // epochs
        ends = [times[i * batches] for i in range(1, epochs + 1)]
        print("seconds", *(f"{b - a:.4f}" for a, b in zip(ends, ends[1:])), flush=True)
        sys.exit(0)
    return result


torch.optim.lr_scheduler.OneCycleLR.step = timed
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
