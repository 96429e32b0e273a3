"""Execute a notebook that shows each kind of result, and take a picture of each cell on light and on dark background.

``make notebook`` installs the extra ``notebook`` and runs this script; the pictures are for looking at. Chromium takes
them; without it, only the pages are written. Formulas are typeset by MathJax, from the network or, with
``--mathjax FILE``, from a file ``MathJax.js`` of version 2 on this computer.
"""

import argparse
import shutil
import subprocess
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from PIL import Image

CELLS = {  # name of the picture, and code of the cell
    "imports": "import numpy as np\nimport dynamics as dyn\nimport matplotlib.pyplot as plt",
    "model": "dyn.Model('cosine', noise=(0.0, 0.1), weight_decay=0.01)",
    "model-user-defined": """
loss = dyn.Loss.parse('|p - sg(z2)|^2 / 2 + beta * |z1|^4', beta=0.1)
dyn.Model(loss, predictor=dyn.Learned(), noise=([0.1, 0.2], 0.5))""",
    "loss": "loss",
    "gain": "dyn.Gain.parse('lambda^gamma', gamma=0.5)",
    "model-in-text": "print(dyn.Model(loss))\nprint(repr(loss))",
    "flow": """
s0 = np.array([0.05, 0.2, 0.6])
model = dyn.Model('euclidean', weight_decay=0.01, noise=(0.1, 0.2))
dyn.solve(model, s0, np.linspace(0, 12, 61))""",
    "flow-in-text": "print(dyn.solve(model, s0, np.linspace(0, 12, 61)))",
    "flow-plot": "dyn.solve(model, s0, np.linspace(0, 12, 61)).plot();",
    "ensemble": """
ensemble = dyn.solve(dyn.Model('cosine', noise=(0, np.linspace(0, 0.5, 40))), s0, np.linspace(0, 12, 61))
ensemble""",
    "descent": "dyn.iterate(model, s0, 100, 0.1, batch_size=256, input_dimension=16)",
    "network": """
descent = dyn.iterate(model, s0, 100, 0.1, batch_size=256, input_dimension=3)
network = dyn.train(model, np.diag(np.sqrt(s0)), 100, 0.1, batch_size=256, record=5)
network""",
    "comparison": "dyn.compare(descent, network)",
    "comparison-plot": "dyn.compare(descent, network).plot();",
    "check": "check = dyn.check(dyn.Model('cosine', noise=(0.0, 0.2)))\ncheck",
    "equilibria": "equilibria = dyn.equilibria(dyn.Model('euclidean', weight_decay=0.05), s0)\nequilibria",
    "equilibrium": "equilibria[0]",
    "bifurcation": "bifurcation = dyn.bifurcation(dyn.Model('euclidean'), 'weight_decay', (0.01, 0.3))\nbifurcation",
    "collapse": "collapse = dyn.collapse(dyn.Model('euclidean', weight_decay=0.1), s0)\ncollapse",
    "phase-diagram": """
phases = dyn.phase_diagram(model, s0, ('weight_decay', (0, 0.4)), ('learning_rate', (0.1, 3)), points=25)
phases""",
    "invariant": "dyn.invariants(dyn.Model('cosine', isotropic=True))[0]",
    "design": "design = dyn.design(dyn.SimultaneousArrival(time=5.0))\ndesign",
    "prepared-solver": "dyn.prepare(model, modes=3, times=[0.0, 5.0])",
    "images": "images = dyn.gaussian_images(side=4, train=100, test=50)\nimages",
    "deep-network": "dyn.Network(images, encoder=dyn.MLP((8,)), projector=(6, 4), views=None)",
    "theories": "dyn.compare(dyn.solve(model, s0, descent.t), dyn.iterate(model, s0, 100, 0.1))",
    "theory-and-network-plot": "ax = descent.plot()\nnetwork.plot(ax);",
    "ensemble-plot": "ensemble.plot(lines=5);",
    "sweep-plot": """
import tempfile
grid, store = {'weight_decay': [0.0, 0.05, 0.1], 'sigma2': [0.1, 0.5]}, tempfile.mkdtemp() + '/runs.zarr'
dyn.plot_sweep(dyn.sweep(model, grid, store=store, s0=s0, times=np.linspace(0, 12, 31)));""",
    "theories-plot": "dyn.compare(dyn.solve(model, s0, descent.t), dyn.iterate(model, s0, 100, 0.1)).plot();",
    "check-plot": "check.plot();",
    "equilibria-plot": "equilibria.plot();",
    "bifurcation-plot": "bifurcation.plot();",
    "collapse-plot": "collapse.plot();",
    "phase-diagram-plot": "phases.plot();",
    "design-plot": "design.plot();",
    "progress": """
from dynamics.numerics.progress import progress_bar
bar = progress_bar(100, 'train', True, unit='steps')
bar.update(40)
bar.refresh();""",
    "text-from-a-user": "dyn.Images('<script>alert(1)</script> $x_1$', images.train, None, images.test, None)",
}
WIDTH, HEIGHT = 1000, 1600  # of the window, in pixels
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--hide-scrollbars", "--allow-file-access-from-files", "--disable-gpu")


def executed() -> nbformat.NotebookNode:
    """Return the notebook with the outputs of its cells; an error in a cell is raised."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code.strip()) for code in CELLS.values()])
    return NotebookClient(notebook, kernel_name="python3", timeout=300).execute()


def page(cells: list[nbformat.NotebookNode], theme: str, mathjax: Path | None) -> str:
    """Return cells as an HTML page with a theme, "light" or "dark"."""
    source = {} if mathjax is None else {"mathjax_url": mathjax.resolve().as_uri() + "?config=TeX-AMS_HTML-full"}
    exporter = HTMLExporter(template_name="lab", theme=theme, **source)
    return str(exporter.from_notebook_node(nbformat.v4.new_notebook(cells=cells))[0])


def picture(html: Path, png: Path) -> None:
    """Take a picture of a page, without the empty part below its contents."""
    program = next(filter(None, map(shutil.which, CHROMIUM)))
    size = f"--window-size={WIDTH},{HEIGHT}"
    command = [program, *FLAGS, size, "--virtual-time-budget=20000", f"--screenshot={png}", html.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(png) as screenshot:
        pixels = np.asarray(screenshot.convert("RGB"), int)
    used = np.flatnonzero((pixels != pixels[-1, -1]).any(axis=(1, 2)))
    Image.fromarray(pixels[: used[-1] + 20].astype(np.uint8)).save(png)


def main() -> None:
    """Write the pages and the pictures into a folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/notebook"))
    parser.add_argument("--mathjax", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    notebook = executed()
    can_draw = any(map(shutil.which, CHROMIUM))
    for theme in ("light", "dark"):
        whole = options.out / f"{theme}.html"
        whole.write_text(page(notebook.cells, theme, options.mathjax), encoding="utf-8")
        print(f"written: {whole}")
        for name, cell in zip(CELLS, notebook.cells, strict=True):
            if can_draw and cell.outputs:
                html = options.out / f"{name}-{theme}.html"
                html.write_text(page([cell], theme, options.mathjax), encoding="utf-8")
                picture(html, html.with_suffix(".png"))
                html.unlink()
    count = len(list(options.out.glob("*.png")))
    print(f"{count} pictures in {options.out}" if can_draw else f"No pictures: none of {', '.join(CHROMIUM)} is there.")


if __name__ == "__main__":
    main()
