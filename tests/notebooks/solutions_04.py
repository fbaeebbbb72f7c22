"""A student's answers for notebook 04, by the id of the cell that they take the place of."""

SOLUTIONS = {
    "exercise-macs": """\
full_macs = 3 * 3 * 32 * 64 * 16 * 16
separable_macs = (3 * 3 * 32 + 32 * 64) * 16 * 16
""",
    "exercise-epochs": """\
epochs_in_the_hour = 3e16 / (60e6 * 2 * 3 * 50_000)
""",
    "exercise-steps": """\
steps_in_the_comparison = 5 * 5_000 // 125
steps_in_the_hour = 1_000 * 50_000 // 125
""",
    "exercise-prediction": """\
winner = "a"
""",
    "exercise-cutmix": """\
wolf_share = 16 * 16 / (32 * 32)
maple_tree_share = 1 - wolf_share
""",
    "exercise-curve": """\
loss_falls_by = 0.9
accuracy_rises_by = 0.5
reason = "c"
""",
    "exercise-my-network": """\
def my_network():
    return whitened([Stage(24), Stage(48, passes=2), Stage(64, convs=1, passes=3)])


my_title = "narrow, without mixing"
my_recipe = replace(level, mix=None)
""",
    "words-prediction": """\
**Your words**

I would bet on inverted bottlenecks: they look around with few weights and still have many
channels inside. A wide residual network that wins would prove me wrong.
""",
    "words-ablation": """\
**Your words**

Momentum I believe, because without it the network hardly moves in either case. The gain without
mixing I do not believe, since nothing can overfit within six passes.
""",
    "words-idea": """\
**Your words**

Small and fast: 24 channels at the beginning, most weights in the last stage, and no mixing, so
that thirty passes are spent on whole pictures.
""",
    "words-result": """\
**Your words**

Several points over the small network, far more than the standard error. For an hour I would
train it with and without mixing, from three seeds each.
""",
    "words-takeaways": """\
**Your words**

Count first. Compare at equal cost, and say which cost it was. A loss on mixed pictures cannot
be compared with one on whole pictures.
""",
}
