"""The grader's reading of notebooks: accuracies in every form, long outputs, headings, times."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from cifar_lab.grading.checks.report import iterations_reported, time_within_limit
from cifar_lab.grading.checks.words import TOPICS, choices_discussed, given_words
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.reading import report
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.submissions.submission import Cell
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError


def code(*outputs: dict[str, Any], source: str = "evaluate()") -> Cell:
    return Cell("code", source, 1, outputs, (), {})


def printed(text: str) -> Cell:
    return code({"output_type": "stream", "name": "stdout", "text": text})


def markdown(text: str) -> Cell:
    return Cell("markdown", text, None, (), (), {})


ONE_ACCURACY = {
    # what numpy and PyTorch print
    "Test accuracy: np.float64(57.3)": 57.3,
    "Test accuracy: np.float64(0.573)": 57.3,
    "Test accuracy np.float32(0.573)": 57.3,
    "test acc: tensor(57.3000)": 57.3,
    "test acc: tensor(0.5730, dtype=torch.float64)": 57.3,
    "test acc = tensor(0.5730, device='cuda:0')": 57.3,
    "Test accuracy: array(0.573, dtype=float32)": 57.3,
    "Test accuracy: tensor([57.3000])": 57.3,
    "Test accuracy: 5.73e-01": 57.3,
    # shares
    "Test accuracy: 57.30/100": 57.3,
    "Test accuracy: 57.3 / 100.0": 57.3,
    "Test accuracy: 57/100": 57,
    "Test accuracy: 5730/10000": 57.3,
    "Test accuracy: 5,730/10,000": 57.3,
    "Test accuracy: 5730.0 / 10000": 57.3,
    "Test accuracy: 5730 of 10000 (57.30%)": 57.3,
    "Correct on test: 5730/10000, test accuracy 57.30%": 57.3,
    "Test accuracy: 1.00 %": 1.0,
    # top-1 counts, top-5 does not
    "Test: Acc@1 57.30": 57.3,
    "Test: Acc@1: 57.30 Acc@5: 84.1": 57.3,
    "Test: Acc@5: 84.10 Acc@1: 57.30": 57.3,
    "Test: Prec@1 57.300 Prec@5 84.100": 57.3,
    "Test top-1 accuracy: 57.3": 57.3,
    "Top-1 test accuracy = 57.3 %, top-5 test accuracy = 84.1 %": 57.3,
    "test top1: 57.3, top5: 84.1": 57.3,
    "Test accuracy: top-1 57.3, top-5 84.1": 57.3,
    "Test accuracy (top-1): 57.3": 57.3,
    "Test top-1/top-5 accuracy: 57.3/84.1": 57.3,
    "test acc1 57.3 test acc5 84.1": 57.3,
    # other numbers and digits of names
    "Test Accuracy (ResNet18, 20 epochs, lr=1e-3): 57.3": 57.3,
    "Test accuracy (lr: 0.1, epochs: 20): 57.3": 57.3,
    "Test accuracy of ResNet18: 57.3": 57.3,
    "Test accuracy of conv2d-net: 0.573": 57.3,
    "Test accuracy model_v2 0.573": 57.3,
    "CIFAR-10 test accuracy 57.3": 57.3,
    "CIFAR10 test accuracy: 57.3%": 57.3,
    "Test accuracy on CIFAR-10 is 57.3": 57.3,
    "Accuracy on 10000 test images: 57.3": 57.3,
    "Accuracy on 10,000 test images 57.3": 57.3,
    "Test accuracy after 12 epochs 57.3": 57.3,
    "Test accuracy at epoch 12 = 57.3": 57.3,
    "Test accuracy at epoch 3/10 57.3": 57.3,
    "Test accuracy with 10% of the labels: 57.3 %": 57.3,
    "Test accuracy with dropout 0.5: 57.3": 57.3,
    "Test accuracy at width 1.5: 57.3": 57.3,
    "Test accuracy 57.3, loss: 0.85": 57.3,
    "Test accuracy 57.3 % (loss: 0.85)": 57.3,
    "Test accuracy: 57.3 ± 0.4%": 57.3,
    "Test accuracy: 57.3 +/- 0.4 %": 57.3,
    "Test accuracy, 95% confidence: 57.3 ± 1.0": 57.3,
    "Test accuracy rose from 51.2 to 57.3": 57.3,
    "Test accuracy: 57.3, dropout 10%": 57.3,
    "Test accuracy: 0.573 in 12.5 s": 57.3,
    "[12:30:05] Test accuracy: 0.573": 57.3,
    "2026-01-31 test accuracy 57.3": 57.3,
    # spelling
    "Test accuracy = 57,3 %": 57.3,
    "Test accuracy: 57,30": 57.3,
    "Test accuracy: 0,573": 57.3,
    "accuracy on the test set is 57.3 percent": 57.3,
    "Accuracy of the network on the 10000 test images: 57 %": 57,
    "test_accuracy 0.573": 57.3,
    "accuracy_test=0.573": 57.3,
    "Accuracy test 57.3": 57.3,
    "accuracy_score(y_test, y_pred) = 0.573": 57.3,
    "Test accuracy (%): 57.3": 57.3,
    "Test accuracy [%] 57.3": 57.3,
    "Test accuracy ......... 57.3%": 57.3,
    "=> Test accuracy -> 57.3": 57.3,
    "\x1b[1mTest accuracy\x1b[0m: 57.3": 57.3,
    "Test accuracy:\n57.3": 57.3,
    "Test accuracy:\n\nnp.float64(0.573)": 57.3,
    # among other measures
    "Test: loss 0.85 acc 0.573": 57.3,
    "Test loss / test accuracy = 0.8500 / 0.5730": 57.3,
    "Test loss, accuracy: [0.85, 0.573]": 57.3,
    "Test loss/acc: 1.85, 0.573": 57.3,
    "train/test accuracy: 98.1/57.3": 57.3,
    "Train acc, val acc, test acc: 0.98, 0.6, 0.573": 57.3,
    "train acc and test acc: 98 57": 57,
    "Accuracy train/test: 98 % / 57 %": 57,
    "Epoch [3/10], Train Acc: 55.2, Test Acc: 57.3": 57.3,
    "Epoch 3 | train acc 55.2 | test acc 57.3": 57.3,
    "Epoch 3/10 - loss: 1.2 - accuracy: 0.55 - test_accuracy: 0.573": 57.3,
    "Accuracy: train 98.1, val 60.2, test 57.3": 57.3,
    "Accuracy - test: 57.3 %, train: 98.1 %": 57.3,
    "Accuracy: 57.3% on the test set": 57.3,
    "The network reaches 57.3 % test accuracy.": 57.3,
    "Achieved 57.3% accuracy on the 10000 test images": 57.3,
    "{'train': {'accuracy': 0.98}, 'test': {'accuracy': 0.573}}": 57.3,
    # lines above say of which images
    "Results on the test set:\n{'accuracy': 0.573}": 57.3,
    "Test set\n  loss: 0.85\n  accuracy: 57.3": 57.3,
    "Test: [70/79] Loss 1.20 Acc@1 51.20 ( 56.10)\n * Acc@1 57.300 Acc@5 84.100": 57.3,
    "Test report\n"
    "              precision    recall  f1-score   support\n\n"
    "         cat       0.40      0.41      0.40      1000\n"
    "       train       0.80      0.81      0.80      1000\n\n"
    "    accuracy                           0.57     10000\n"
    "   macro avg       0.57      0.57      0.57     10000\n": 57,
    # several classes, and all of them
    "Test accuracy of plain network: 57.3": 57.3,
    "Test Accuracy of airplane: 72% (724/1000)\nTest Accuracy (Overall): 57% (5730/10000)": 57,
}

NO_ACCURACY = [
    "Epoch 3/10 - loss: 1.2 - accuracy: 0.55 - val_loss: 1.1 - val_accuracy: 0.6",
    "Testing: 10000 images\nEpoch 3/10 - loss: 1.2 - accuracy: 0.55",
    "Training accuracy: 98.1 %",
    "Validation accuracy: 60.2 %",
    "Validation accuracy with test-time augmentation: 60.2 %",
    "latest accuracy: 60.2 %",
    "accuracy: 0.573",
    "np.float64(57.3)",
    "Test accuracy",
    "Test accuracy of ResNet18",
    "Test error: 42.7 %",
    "Test top-1 error: 42.7",
    "Test top-5 accuracy: 84.1",
    "Test: Acc@5 84.1",
    "Test accuracies are shown below",
    "Accuracy gap between train and test: 12.5 %",
    "std of test accuracy: 0.4",
    "Test accuracy improvement: 2.3 %",
    "Target test accuracy: 60 %",
    "Test accuracy after 12 epochs",
    "Test accuracy > 50 %: True",
    "Reached 98.1 % accuracy on the training set",
    "Val acc: 60.2 % Test acc:",
    "Accuracy: 98.1% on the training set",
    "Accuracy: train 98.1, val 60.2",
    "Test accuracy at epoch 3/10",
    "Test accuracy of 10000 images",
    "Train/val accuracy: 98.1/60.2",
    "Test images loaded\nTrain/val accuracy: 98.1/60.2",
    "Accuracy on the test set by class:\nAccuracy of   cat : 40 %",
    "Testing\nAccuracy of plane : 62 %",
    "Testing\nAccuracy for class: plane is 62.9 %",
    "Test accuracy of class 3: 40 %",
    "Test accuracy of 'cat' images: 40 %",
    "Test accuracy (frog): 40 %",
    "Test Accuracy of sweet_pepper: 40% (40/100)",
    "Test accuracy of pine tree: 40%",
    "cat: test accuracy 40 %",
    "Test accuracy per class: plane 62.9, car 70.1",
    "class_3 test_acc: 0.4",
    "              precision    recall  f1-score   support\n\n"
    "         cat       0.40      0.41      0.40      1000\n"
    "    accuracy                           0.57     10000\n",
    "Test accuracy: 100%|██████████| 79/79 [00:02<00:00]",
    "Test accuracy: -1",
    "Test accuracy: nan",
    "Test accuracy: 5730",
    "metric  train  val\naccuracy  98.1  60.2",
    "epoch  loss  val_acc\n3  0.85  60.2",
]


@pytest.mark.parametrize(("text", "accuracy"), ONE_ACCURACY.items())
def test_a_test_accuracy_is_read_in_any_form(text: str, accuracy: float) -> None:
    assert report.reported_accuracies([printed(text)]) == [pytest.approx(accuracy)]


@pytest.mark.parametrize("text", NO_ACCURACY)
def test_no_other_number_is_taken_for_a_test_accuracy(text: str) -> None:
    assert report.reported_accuracies([printed(text)]) == []


WRITTEN = {  # ways to write an accuracy of so many percent, and how far they round it
    "percent": (lambda value: f"{value:.2f} %", 0.005),
    "percent at once": (lambda value: f"{value:.2f}%", 0.005),
    "no sign": (lambda value: f"{value:.2f}", 0.005),
    "comma": (lambda value: f"{value:.2f} %".replace(".", ","), 0.005),
    "in words": (lambda value: f"{value:.2f} percent", 0.005),
    "share": (lambda value: f"{value / 100:.4f}", 0.005),
    "whole percent": (lambda value: f"{value:.0f} %", 0.5),
    "of 100": (lambda value: f"{value:.2f}/100", 0.005),
    "of 10000": (lambda value: f"{round(100 * value)}/10000", 0.005),
    "numpy": (lambda value: f"np.float64({np.float64(value).item()!r})", 1e-6),
    "numpy share": (lambda value: f"np.float64({np.float64(value / 100).item()!r})", 1e-6),
    "tensor": (lambda value: repr(torch.tensor(value)), 0.0001),
    "tensor share": (lambda value: repr(torch.tensor(value / 100, dtype=torch.float64)), 0.006),
}
SENTENCES = [
    "Test accuracy: {}",
    "test_acc = {}",
    "Test acc {}",
    "Accuracy on the test set: {}",
    "Test accuracy (ResNet18, 20 epochs, lr=1e-3): {}",
    "Epoch 12: train loss 0.412, train acc 0.981, test acc {}",
    "CIFAR-10 test accuracy after 20 epochs: {}",
    "Test: loss 0.85, accuracy {}",
    "On the 10000 test images:\nacc: {}",
    "| Test accuracy | {} |",
    "model | test_acc\n--- | ---\nResNet18 | {}",
]


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("form", WRITTEN)
def test_a_written_accuracy_comes_back(form: str, sentence: str) -> None:
    write, rounded = cast("tuple[Callable[[float], str], float]", WRITTEN[form])
    draw = random.Random(f"{form} {sentence}")
    for _ in range(20):
        value = round(draw.uniform(1.5, 99.5), 2)
        text = sentence.format(write(value))
        found = report.reported_accuracies([printed(text)])
        assert found == [pytest.approx(value, abs=rounded + 1e-9)], text


HTML = """
<style scoped>.dataframe td {{ width: 100%; }}</style>
<table border="1" class="dataframe">
  <thead><tr style="text-align: right;"><th></th>
    <th>model</th>
    <th>params</th>
    <th>train_acc</th>
    <th>{}</th>
  </tr></thead>
  <tbody>
    <tr>
      <th>0</th>
      <td>ResNet18</td>
      <td>42362</td>
      <td>98.10</td>
      <td>57.30</td>
    </tr>
    <tr><th>1</th><td>wide net</td><td>40010</td><td>97.00</td><td>0.581</td></tr>
  </tbody>
</table>
"""
TABLES = {
    "pandas": "      model  params  train_acc  test_acc\n"
    "0  ResNet18   42362      98.10     57.30\n1  wide net   40010      97.00     58.10\n",
    "pandas with a named index": "          test_acc  params\nmodel                     \n"
    "ResNet18     57.30   42362\nwide net     58.10   40010\n",
    "Markdown": "| model | Test accuracy (%) | params |\n|:--|--:|---|\n"
    "| ResNet18 | 57.3 | 42,362 |\n| wide net | **58.1** | 40,010 |\n",
    "tabulate": "model      params    test acc\n--------  --------  ----------\n"
    "ResNet18     42362        57.3\nwide net     40010        58.1\n",
    "prettytable": "+----------+---------+\n|  model   | TestAcc |\n+----------+---------+\n"
    "| ResNet18 | 57.30 % |\n| wide net | 58.10 % |\n+----------+---------+\n",
    "columns one space apart": "Network    Test acc   Params\n"
    "ResNet 18     57.30 42362\nwide net 2    58.10 40010\n",
    "words": "epoch train_acc test_acc\n1 0.55 0.573\n2 0.56 0.581",
    "tabs": "model\ttest_acc\nResNet18\t0.573\nwide net\t0.581\n",
    "commas": "model,params,test_acc\nResNet18,42362,0.573\nwide net,40010,0.581\n",
    "log": "epoch | train acc | test acc\n1 | 55.1 | 57.3\n2 | 60.2 | 58.1\nval acc: 60",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_s_head_names_its_numbers(name: str) -> None:
    found = report.reported_accuracies([printed(TABLES[name])])
    assert found == [pytest.approx(57.3), pytest.approx(58.1)]


@pytest.mark.parametrize("head", ["test_acc", "Test accuracy (%)", "acc (test)", "Top-1 test acc"])
def test_a_table_in_html_is_read_with_its_head(head: str) -> None:
    data = {"text/html": HTML.format(head), "text/plain": "test acc 12.3"}
    cell = code({"output_type": "execute_result", "data": data})
    assert report.reported_accuracies([cell]) == [pytest.approx(57.3), pytest.approx(58.1)]
    assert 100 not in report.figures(report.output_text(cell))  # of the style


@pytest.mark.parametrize(
    "head", ["val_acc", "test loss", "accuracy", "parameters", "Top-5 test acc"]
)
def test_a_table_of_something_else_reports_no_test_accuracy(head: str) -> None:
    for text in (HTML.format(head), TABLES["Markdown"].replace("Test accuracy (%)", head)):
        assert report.reported_accuracies([code({"data": {"text/html": text}})]) == []
        assert report.reported_accuracies([code({"data": {"text/markdown": text}})]) == []


@pytest.mark.parametrize(
    ("text", "accuracies"),
    [
        ("           train   test\naccuracy    98.1   57.3\nloss         0.1    0.85", [57.3]),
        ("       accuracy  loss\ntrain     98.1   0.1\ntest      57.3  0.85", [57.3]),
        ("| class | test acc |\n|---|---|\n| cat | 40.0 |\n| pine_tree | 62.9 |", []),
        (
            "| Metric | Value |\n|---|---|\n| Test accuracy | 57.3 |\n| Train accuracy | 98 |",
            [57.3],
        ),
        ("Results on the test set\n| model | accuracy |\n|---|---|\n| wide | 57.3 |", [57.3]),
        ("| model | test loss | accuracy of training |\n|---|---|---|\n| wide | 0.8 | 98 |", []),
    ],
)
def test_a_row_s_name_counts_as_its_head_does(text: str, accuracies: list[float]) -> None:
    assert report.reported_accuracies([printed(text)]) == pytest.approx(accuracies)


@pytest.mark.parametrize(
    ("source", "shows", "accuracies"),
    [
        ("model.eval()\ntest_accuracy(model, test_set)", "np.float64(57.3)", [57.3]),
        ("test_acc", "0.573", [57.3]),
        ("accuracy(model, test_loader)", "tensor(0.5730, device='cuda:0')", [57.3]),
        ("val_acc", "60.2", []),
        ("len(test_set)", "100", []),
        ("test_acc", "Conv2d(3, 8)", []),
    ],
)
def test_a_cell_s_last_line_names_its_value(
    source: str, shows: str, accuracies: list[float]
) -> None:
    output = {"output_type": "execute_result", "data": {"text/plain": shows}}
    found = report.reported_accuracies([code(output, source=source)])
    assert found == pytest.approx(accuracies, abs=1e-4)


def test_what_one_cell_says_is_not_of_another() -> None:
    cells = [printed("Results on the test set:"), printed("accuracy: 0.573")]
    assert report.reported_accuracies(cells) == []


class Counted(tuple[dict[str, Any], ...]):
    """Outputs that count how many were looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for output in super().__iter__():
            Counted.looked_at += 1
            yield output


def test_200_000_outputs_are_read_in_time_that_grows_with_them() -> None:
    outputs = tuple({"output_type": "stream", "text": f"step {n}\n"} for n in range(200_000))
    cells = [code(*outputs), printed("Test accuracy: 57.3")]
    started = time.process_time()
    assert report.output_text(cells[0]).count("step") > 100_000
    assert len(list(report.passages(cells))) > 1_000
    report.figures(report.all_output(cells))
    report.reported_accuracies(cells)
    assert time.process_time() - started < 60  # when it grew with their square: 10 minutes


def test_no_more_is_read_than_is_looked_at() -> None:
    Counted.looked_at = 0
    outputs = Counted({"output_type": "stream", "text": "x" * 100_000} for _ in range(1_000))
    cell = Cell("code", "", 1, outputs, (), {})
    assert len(report.all_output([cell] * 1_000)) == 2_000_000
    assert Counted.looked_at <= 22
    assert len(report.all_output([printed("ab\n")] * 3)) == len("ab\n\nab\n\nab\n")


@pytest.mark.parametrize(
    "text",
    ["acc " * 200_000, "acc\n" * 200_000, "|a|test acc|\n" + "|x|1.5|\n" * 100_000, "," * 500_000]
    + ["test acc " + part * 100_000 for part in ("(", "()", ",111", "a=1 ", "acc/", "1/2")],
)
def test_no_output_keeps_the_reading_busy(text: str) -> None:
    started = time.process_time()
    report.reported_accuracies([printed(text)])
    assert time.process_time() - started < 30


# Discussions

FORTY_WORDS = " ".join(
    one + other
    for one in ("mi", "no", "pe", "tal")
    for other in ("ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "xu")
)
HEADINGS = {
    "model architecture": "## Network",
    "hyperparameters": "## Batch size",
    "regularisation": "## Dropout and augmentation",
    "optimizer": "## Optimiser",
    "validation scheme": "## Hold-out split",
}


def looked_at(**parts: Any) -> Evidence:
    settings = parts.pop("settings", Settings("b"))
    parts = {
        name: (lambda part=part: part) for name, part in parts.items() if name != "manifest"
    } | {
        "submission": SimpleNamespace(manifest=parts.get("manifest", {})),
        "settings": settings,
        "ran_to_the_end": lambda: None,
    }
    return cast(Evidence, SimpleNamespace(**parts))


def discussed(text: str) -> float:
    """The share of the points that a discussion earns."""
    try:
        choices_discussed(looked_at(cells=[markdown(text)]))
    except SubmissionError as error:
        return error.share
    return 1.0


def sections(**changed: str) -> str:
    texts = dict.fromkeys(TOPICS, FORTY_WORDS) | changed
    return "\n\n".join(f"{HEADINGS[topic]}\n{text}" for topic, text in texts.items())


def test_five_discussions_earn_all() -> None:
    assert len(FORTY_WORDS.split()) == 40
    assert discussed(sections()) == 1


def test_a_topic_earns_its_fifth_in_proportion_to_its_words() -> None:
    short = " ".join(FORTY_WORDS.split()[:15])
    assert discussed(sections(optimizer=short)) == pytest.approx((4 + 15 / 30) / 5)
    assert discussed(sections(optimizer=short, regularisation="")) == pytest.approx(3.5 / 5)


def test_a_topic_without_a_heading_earns_nothing_and_the_text_says_so() -> None:
    text = sections(regularisation="We tried it.").replace("## Optimiser", "## Something else")
    with pytest.raises(SubmissionError) as error:
        choices_discussed(looked_at(cells=[markdown(text)]))
    assert error.value.share == pytest.approx((3 + 3 / 30) / 5)
    assert "optimizer: no heading" in error.value.seen
    assert "regularisation: 3 own words" in error.value.seen
    assert "At least 30" in error.value.seen and "in proportion" in error.value.seen


def test_given_words_earn_nothing() -> None:
    assert discussed(given_words()) == 0
    assert discussed("") == 0


@pytest.mark.parametrize(
    ("topic", "headings"),
    [
        ("hyperparameters", "Hyper-parameters|Learning rate|LR schedule|Batch size|The schedule"),
        ("optimizer", "Optimizer|Optimiser|Optimization"),
        ("regularisation", "Regularization|Dropout|Data augmentation|Weight decay|Overfitting"),
        ("validation scheme", "Validation|Hold-out|Split|Early stopping|Model selection"),
        ("model architecture", "Architecture|My network|Model design"),
    ],
)
@pytest.mark.parametrize(
    "written",
    ["# {}\n{}", "#### 3. {}\n{}", "- **{}:** {}", "**{}**\n{}", "- {}: {}", "{}: {}", "2. {}: {}"]
    + ["{}\n======\n{}", "<h3>{}</h3>\n{}"],
)
def test_headings_are_known_by_many_names(topic: str, headings: str, written: str) -> None:
    for heading in headings.split("|"):
        text = "# Results\n\n" + written.format(heading, FORTY_WORDS)
        found = report.text_under([markdown(text)], TOPICS)
        assert len((found[topic] or "").split()) == 40, heading


def test_one_heading_may_serve_two_topics() -> None:
    found = report.text_under([markdown(f"## Optimizer & LR schedule\n{FORTY_WORDS}")], TOPICS)
    assert found["optimizer"] == found["hyperparameters"]
    assert found["optimizer"] and found["regularisation"] is None


def test_text_under_several_headings_counts_once_each() -> None:
    text = (
        "## Dropout\none two\n\n### Weight decay\nthree\n\n## Results\nfour\n## Overfitting\nfive"
    )
    found = report.text_under([markdown(text)], TOPICS)["regularisation"] or ""
    assert [word for word in found.split() if word.islower()] == [
        "one",
        "two",
        "decay",
        "three",
        "five",
    ]


def test_a_text_that_repeats_itself_counts_by_its_distinct_words() -> None:
    text = "\n".join(f"{heading}\n" + "we chose this " * 30 for heading in HEADINGS.values())
    assert discussed(text) == pytest.approx(3 / 30)


# Times and iterations


@pytest.mark.parametrize(
    ("record", "seconds"),
    [
        (("2026-01-01T10:00:00Z", "2026-01-01T10:01:30Z"), 90),
        (("2026-01-01T10:00:00", "2026-01-01T10:01:30+00:00"), 90),
        (("2026-01-01T10:01:30Z", "2026-01-01T10:00:00Z"), None),
        (("0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"), None),
        (("yesterday", "today"), None),
        ((3, [3]), None),
        ((None, None), None),
    ],
)
def test_durations_that_cannot_be_do_not_count(
    record: tuple[Any, Any], seconds: float | None
) -> None:
    names = ("iopub.execute_input", "shell.execute_reply")
    cell = Cell("code", "", 1, (), (), {"execution": dict(zip(names, record, strict=True))})
    after = Cell("code", "", 2, (), (), {"executionInfo": {"elapsed": 5_000}})
    assert report.recorded_seconds([cell]) == seconds
    assert report.recorded_seconds([cell, after]) == (seconds or 0) + 5


@pytest.mark.parametrize("elapsed", [-5_000, float("nan"), float("inf"), 10**400, "5", True, None])
def test_elapsed_times_that_cannot_be_do_not_count(elapsed: object) -> None:
    cell = Cell("code", "", 1, (), (), {"executionInfo": {"elapsed": elapsed}})
    assert report.recorded_seconds([cell]) is None


@pytest.mark.parametrize(
    "history", [[3], [{"seconds": -1}], [{"seconds": 10**400}], [{"seconds": "1"}], [{}], {"a": 1}]
)
def test_a_history_without_times_is_no_record(history: object) -> None:
    with pytest.raises(NotMadeError):
        time_within_limit(looked_at(cells=[], manifest={"history": history}))


def test_iterations_of_any_json_are_looked_at() -> None:
    networks = [{"parameters": size, "network": size} for size in (42_362, 40_010)]
    right = [
        {"title": "wide", "parameters": 42_362, "test_accuracy": 57.3},
        {"title": "deep", "parameters": 40_010.0, "test_accuracy": 58.1},
    ]
    strange: list[Any] = [
        10**400,
        -(10**400),
        float("nan"),
        float("inf"),
        "57.3",
        None,
        True,
        [],
        {},
    ]
    wrong = [{"title": "x", "parameters": 42_362, "test_accuracy": one} for one in strange]
    wrong += [{"title": "x", "parameters": one, "test_accuracy": 57.3} for one in strange]
    wrong += [{"title": one, "parameters": 1, "test_accuracy": 57.3} for one in strange]
    shows = [printed("Test accuracy: 57.3 %\nTest accuracy: 58.1 %")]
    run = {"watch": {"optimizers": networks}}
    for listed, enough in (([*strange, *wrong, *right], True), ([*strange, *wrong], False)):
        evidence = looked_at(run=run, cells=shows, manifest={"iterations": listed})
        if enough:
            assert "42,362" in iterations_reported(evidence)
        else:
            with pytest.raises(SubmissionError):
                iterations_reported(evidence)


@pytest.mark.parametrize(
    ("passage", "found"),
    [
        ("wide, 42362 parameters, 57,3 %", [57.3]),
        ("wide, 42362 parameters, 57.3/100", [57.3]),
        ("wide, 42362 parameters, 57.3 / 100.0", [57.3]),
        ("wide, 42362 parameters, 57.3 percent", [57.3]),
        ("wide 42362 0.573", [57.3]),
    ],
)
def test_a_reported_network_s_accuracy_is_read_as_in_outputs(
    passage: str, found: list[float]
) -> None:
    assert report.percentages(passage) == pytest.approx(found)
    assert any(np.isclose(report.figures(passage), found[0]))


def test_many_numbers_in_many_reports_are_compared_in_time() -> None:
    shows = [printed(" ".join(f"{n / 1000:.3f}" for n in range(100_000)))]
    lines = "\n".join(f"net 42362 {n} " + "99.9999 % " * 150 for n in range(500))
    run = {"watch": {"optimizers": [{"parameters": 42_362, "network": 1}]}}
    started = time.process_time()
    with pytest.raises(SubmissionError):
        iterations_reported(looked_at(run=run, cells=[*shows, markdown(lines)]))
    assert time.process_time() - started < 30
