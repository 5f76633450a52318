# SPDX-License-Identifier: Apache-2.0
"""What bench/compare measured, as a table for the terminal, in Markdown, and as a bar chart.

A result is a dict: engines [name], threads, limits {name: best}, cells [{model, kind, size, depth,
bytes, ops, arithmetic, speeds {engine: [tokens/s]}}]; the first engine is ours."""
import statistics
import xml.sax.saxutils as xml


def ratios(cell, engine, ours):
    """Ours over theirs, pair by pair."""
    return [a / b for a, b in zip(cell["speeds"][ours], cell["speeds"][engine])]


def name_of(cell):
    if cell["kind"] == "prefill":
        return f"prefill {cell['size']}"
    return f"decode at {cell['depth']}"


def number(value):
    return f"{value:.0f}" if value >= 200 else f"{value:.1f}"


def spread(values, form):
    low, high = form(min(values)), form(max(values))
    middle = form(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


def share(result, cell, engine):
    """Of memory's speed for decoding, of the peak of the arithmetic for prefill; None if unknown."""
    prefill = cell["kind"] == "prefill"
    limit = result["limits"].get(cell["arithmetic"] if prefill else "read", 0)
    work = cell["ops"] if prefill else cell["bytes"]
    return statistics.median(cell["speeds"][engine]) * work / (limit * 1e9) if limit > 0 else None


def columns(result):
    ours, *peers = result["engines"]
    heads = ["model", "test"]
    for engine in result["engines"]:
        heads += [f"{engine}, tokens/s", "of the limit"]
    return heads + [f"ratio to {peer}" for peer in peers]


def rows(result):
    ours, *peers = result["engines"]
    for cell in result["cells"]:
        row = [cell["model"], name_of(cell)]
        for engine in result["engines"]:
            part = share(result, cell, engine)
            row += [spread(cell["speeds"][engine], number), "" if part is None else f"{100 * part:.0f}%"]
        yield row + [spread(ratios(cell, peer, ours), lambda x: f"{x:.2f}") for peer in peers]


def footer(result):
    limits = ", ".join([f"memory {result['limits']['read']:.1f} GB/s"] * ("read" in result["limits"]) +
                       [f"{kind} {value:.0f} GOP/s" for kind, value in result["limits"].items()
                        if kind != "read" and value > 0])
    pairs = max(len(s) for cell in result["cells"] for s in cell["speeds"].values())
    return (f"Medians (range) of {pairs} interleaved runs of each, {result['threads']} threads. Ratios: median "
            f"(range) of the pairs." + (f" Limits, as measured in between: {limits}." if limits else ""))


def table(result):
    lines = [columns(result), *rows(result)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = "\n".join("  ".join(f"{word:<{width}}" for word, width in zip(line, widths)).rstrip()
                     for line in lines)
    return f"{text}\n\n{footer(result)}\n"


def markdown(result):
    lines = [columns(result), ["---"] * len(columns(result)), *rows(result)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{footer(result)}\n"


WIDTH, MARGIN, LABELS, VALUES = 860, 20, 230, 150
BAR, GAP, GROUP_GAP, LINE = 15, 3, 13, 20
COLOURS = ("#1f6feb", "#8c959f", "#c3cad1", "#5f6770")
TEXT, SOFT = "#1f2328", "#656d76"


class Drawing:
    def __init__(self):
        self.parts, self.y = [], MARGIN

    def text(self, x, y, words, size=13, fill=TEXT, more=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}"{more}>'
                          f'{xml.escape(words)}</text>')

    def box(self, x, y, width, height, fill):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" '
                          f'fill="{fill}"/>')

    def finish(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.y + MARGIN:.0f}" '
                f'viewBox="0 0 {WIDTH} {self.y + MARGIN:.0f}" font-family="DejaVu Sans, Arial, sans-serif">\n'
                f'<rect width="100%" height="100%" rx="8" fill="#ffffff"/>\n' + "\n".join(self.parts) +
                "\n</svg>\n")


def draw_bar(drawing, values, longest, colour, note, bold):
    """A bar as long as the median, with a line from the least to the most."""
    room = WIDTH - 2 * MARGIN - LABELS - VALUES
    middle = drawing.y + BAR / 2
    left, scale = MARGIN + LABELS, room / longest
    drawing.box(left, drawing.y, statistics.median(values) * scale, BAR, colour)
    drawing.parts.append(f'<path d="M{left + min(values) * scale:.1f} {middle:.1f}H'
                         f'{left + max(values) * scale:.1f}" stroke="{TEXT}" stroke-width="1"/>')
    drawing.text(left + max(values) * scale + 6, drawing.y + BAR - 3.5, note, 12, TEXT if bold else SOFT,
                 ' font-weight="bold"' if bold else "")
    drawing.y += BAR + GAP


def draw_cell(drawing, result, cell, longest):
    ours = result["engines"][0]
    height = len(result["engines"]) * (BAR + GAP)
    middle = drawing.y + height / 2
    drawing.text(MARGIN, middle - 2, cell["model"], 12.5)
    drawing.text(MARGIN, middle + 13, name_of(cell), 11.5, SOFT)
    for engine, colour in zip(result["engines"], colours(result)):
        values = cell["speeds"][engine]
        times = "" if engine == ours else \
            f" \u00b7 ours {statistics.median(ratios(cell, engine, ours)):.2f}x"
        draw_bar(drawing, values, longest, colour, number(statistics.median(values)) + times, engine == ours)
    drawing.y += GROUP_GAP


def colours(result):
    return [COLOURS[i] if i < len(COLOURS) else COLOURS[-1] for i in range(len(result["engines"]))]


def draw_legend(drawing, result):
    x = MARGIN
    for engine, colour in zip(result["engines"], colours(result)):
        drawing.box(x, drawing.y, 12, 12, colour)
        drawing.text(x + 18, drawing.y + 10.5, engine, 12.5)
        x += 40 + 7.2 * len(engine)
    drawing.y += 12 + LINE


def svg(result):
    drawing = Drawing()
    draw_legend(drawing, result)
    for kind, title in (("prefill", "Reading a prompt, tokens/s"), ("decode", "Writing, tokens/s")):
        cells = [cell for cell in result["cells"] if cell["kind"] == kind]
        if not cells:
            continue
        drawing.text(MARGIN, drawing.y + 10, title, 14, TEXT, ' font-weight="bold"')
        drawing.y += LINE + 6
        longest = max(max(values) for cell in cells for values in cell["speeds"].values())
        for cell in cells:
            draw_cell(drawing, result, cell, longest)
    pairs = max(len(s) for cell in result["cells"] for s in cell["speeds"].values())
    drawing.text(MARGIN, drawing.y + 8, f"Bars: medians of {pairs} interleaved runs, {result['threads']} "
                 "threads; lines: least to most.", 11.5, SOFT)
    drawing.y += LINE
    return drawing.finish()
