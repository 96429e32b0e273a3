"""Cards and progress bars in a real Jupyter kernel; left out by default, ``make notebook`` runs them."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.notebook

TRAIN = """
import numpy as np
import dynamics as dyn
network = dyn.train(dyn.Model('euclidean'), np.eye(2), 20, 0.1, batch_size=10, progress=True)
network"""


def executed(*cells):
    """Return the outputs of cells, and the messages of the kernel with their kinds."""
    import nbformat
    from nbclient import NotebookClient

    messages = []

    class Listener(NotebookClient):
        def process_message(self, message, cell, index):
            messages.append((message["msg_type"], message["content"].get("data", {})))
            return super().process_message(message, cell, index)

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    Listener(notebook, kernel_name="python3", timeout=120).execute()
    return [cell.outputs for cell in notebook.cells], messages


def test_training_shows_a_bar_and_then_a_card():
    (outputs,), messages = executed(TRAIN)
    bars = [data["text/html"] for _, data in messages if "<progress" in data.get("text/html", "")]
    assert len(bars) >= 1 and "train: " in bars[0]
    assert {output.output_type for output in outputs} == {"display_data", "execute_result"}  # nothing on standard error
    assert outputs[0].data == {"text/plain": ""}  # the bar has vanished
    assert "Network of Model" in outputs[1].data["text/html"] and "<img" in outputs[1].data["text/html"]


def test_quick_work_leaves_no_output():
    (outputs,), _ = executed("import dynamics as dyn\nfor _ in range(3): dyn.solve(dyn.Model('cosine'), [0.1], [0, 1])")
    assert outputs == []


def test_every_plot_is_shown():
    """The first figure starts the backend of the notebook; later ones are shown as well."""
    first = "import dynamics as dyn\nflow = dyn.solve(dyn.Model('cosine'), [0.1, 0.5], [0, 1])\nflow.plot();"
    outputs, _ = executed("flow = None", first, "flow.plot();", "flow", "flow.plot();")
    assert ["image/png" in cell[0].data for cell in outputs[1:3] + outputs[4:]] == [True] * 3


def test_a_kernel_does_not_make_a_child_process_a_notebook():
    code = "from dynamics.numerics.progress import has_notebook; print(has_notebook())"
    child = f"import subprocess\nprint(subprocess.check_output([{sys.executable!r}, '-c', {code!r}], text=True))"
    (inside, outside), _ = executed(code, child)
    assert inside[0].text == "True\n" and outside[0].text == "False\n\n"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_a_loss_and_a_model_have_latex():
    (loss, model), _ = executed("import dynamics as dyn\ndyn.Loss.parse('|p - sg(z2)|^2')", "dyn.Model('cosine')")
    assert loss[0].data["text/latex"].startswith("$$L = ") and "text/html" not in loss[0].data
    assert "aligned" in model[0].data["text/latex"] and "<table" in model[0].data["text/html"]
