"""Charts as SVG files in the look of Backtrail's own: panels of lines with bands, or of points with bars."""
import math
from html import escape

LIGHT = ["#0072b2", "#d55e00", "#009e73", "#b5558f", "#b07d00", "#5b5bd6", "#6e6e6e"]
DARK = ["#56b4e9", "#ff8c42", "#2fd0a2", "#e39ac4", "#f0c040", "#a0a0ff", "#b0b0b0"]
WIDTH, HEIGHT = 360, 300
LEFT, TOP, BOTTOM = 70, 84, 62


def rules(ground, ink, faint, colors):
    parts = [
        f".paper .ground{{fill:{ground}}}.paper text{{fill:{ink}}}.paper .grid{{stroke:{faint}}}",
        f".paper .axis{{stroke:{ink};stroke-dasharray:7 4;stroke-width:1.2}}.paper .hollow{{fill:{ground};stroke-width:2}}",
    ]
    parts += [f".paper .s{i}{{stroke:{color}}}.paper .f{i}{{fill:{color}}}" for i, color in enumerate(colors)]
    return "".join(parts)


STYLE = (
    '.paper text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}'
    ".paper .title{font-size:15px;font-weight:600}.paper .small{font-size:11px}"
    ".paper .line{fill:none;stroke-width:1.7;stroke-linejoin:round}.paper .bar{stroke-width:1.2;stroke-opacity:.5}"
    ".paper .band{stroke:none;fill-opacity:.14}.paper .grid{stroke-width:1}\n"
    + rules("#ffffff", "#1f2328", "#e2e6ea", LIGHT)
    + "\n@media screen and (prefers-color-scheme:dark){" + rules("#15191f", "#e6e9ee", "#313842", DARK) + "}"
)


class Axis:
    """A scale from values to pixels with round ticks: linear, logarithmic, or signed, which is linear near 0 and logarithmic far from it."""

    def __init__(self, label, logarithmic=False, include=(), signed=False):
        self.label, self.logarithmic, self.include, self.signed = label, logarithmic, include, signed

    def fit(self, values, first, last):
        values = [v for v in [*values, *self.include] if v is not None and (v > 0 or not self.logarithmic)] or [1, 2]
        low, high = min(values), max(values)
        low, high = self._scaled(low), self._scaled(high)
        margin = 0.04 * (high - low) or 0.5
        self.low, self.high, self.first, self.last = low - margin, high + margin, first, last

    def _scaled(self, value):
        return math.log10(value) if self.logarithmic else math.asinh(value) if self.signed else value

    def place(self, value):
        """The pixel of a value; what a logarithmic scale can't show is at its lower end."""
        scaled = self.low if self.logarithmic and value <= 0 else self._scaled(value)
        return self.first + (scaled - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self):
        if self.signed:
            sizes = [0, *(f * 10**p for p in range(4) for f in (1, 3))]
            ticks = sorted({sign * size for sign in (-1, 1) for size in sizes})
            return [tick for tick in ticks if self.low <= math.asinh(tick) <= self.high]
        if not self.logarithmic:
            return self._even(self.low, self.high)
        for factors in ([1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]):
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            ticks = [f * 10.0**p for p in powers for f in factors if self.low <= math.log10(f * 10.0**p) <= self.high]
            if len(ticks) >= 3:
                return ticks[:: 1 + len(ticks) // 9]
        return self._even(10**self.low, 10**self.high)

    def _even(self, low, high):
        step = 10 ** math.floor(math.log10(high - low))
        step *= next(f for f in (0.1, 0.2, 0.5, 1, 2) if (high - low) / (step * f) <= 6)
        return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def number(value):
    return f"{value:.4g}".replace("-", "−")


class Panel:
    """A plot. Series are drawn in the order in which they are added; each has a place in the legend, which panels share."""

    def __init__(self, title, x, y):
        self.title, self.x, self.y = title, x, y
        self.lines, self.points, self.x_mark, self.y_mark, self.diagonal = [], [], None, None, False

    def line(self, series, points):
        """points: (x, y, low, high); low and high may be None."""
        self.lines.append((series, points))

    def point(self, series, x, y, x_bar=None, y_bar=None, hollow=False):
        self.points.append((series, x, y, x_bar, y_bar, hollow))

    def draw(self, left):
        bottom, right, top = TOP + HEIGHT, left + WIDTH, TOP
        xs = [p[0] for _, points in self.lines for p in points]
        ys = [v for _, points in self.lines for p in points for v in p[1:]]
        for _, x, y, x_bar, y_bar, _ in self.points:
            xs += [x, *(x_bar or ())]
            ys += [y, *(y_bar or ())]
        self.x.fit(xs, left, right)
        self.y.fit(ys, bottom, top)
        out = [f'<text x="{left}" y="{top - 14}" class="small" font-weight="600">{escape(self.title)}</text>']
        for tick in self.y.ticks():
            y = self.y.place(tick)
            out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" class="grid"/>')
            out.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end" class="small">{number(tick)}</text>')
        for tick in self.x.ticks():
            x = self.x.place(tick)
            out.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" class="grid"/>')
            out.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" class="small">{number(tick)}</text>')
        if self.x_mark is not None:
            x = self.x.place(self.x_mark)
            out.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" class="axis"/>')
        if self.y_mark is not None:
            y = self.y.place(self.y_mark)
            out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" class="axis"/>')
        if self.diagonal:
            low, high = max(self.x.low, self.y.low), min(self.x.high, self.y.high)
            ends = [(self.x.place(10**v), self.y.place(10**v)) for v in (low, high)]
            out.append('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="axis"/>'.format(*ends[0], *ends[1]))
        middle = (top + bottom) / 2
        out.append(f'<text x="{(left + right) / 2}" y="{bottom + 36}" text-anchor="middle">{escape(self.x.label)}</text>')
        out.append(
            f'<text x="{left - 54}" y="{middle}" text-anchor="middle" transform="rotate(-90 {left - 54} {middle})">'
            f"{escape(self.y.label)}</text>")
        for series, points in self.lines:
            banded = [p for p in points if p[2] is not None and p[3] is not None]
            if banded:
                edge = [(p[0], p[3]) for p in banded] + [(p[0], p[2]) for p in reversed(banded)]
                out.append(f'<polygon points="{self._path(edge)}" class="band f{series}"/>')
        for series, points in self.lines:
            out.append(f'<polyline points="{self._path([p[:2] for p in points])}" class="line s{series}"/>')
        for series, x, y, x_bar, y_bar, hollow in self.points:
            px, py = self.x.place(x), self.y.place(y)
            if x_bar:
                a, b = (self.x.place(v) for v in x_bar)
                out.append(f'<line x1="{a:.1f}" y1="{py:.1f}" x2="{b:.1f}" y2="{py:.1f}" class="bar s{series}"/>')
            if y_bar:
                a, b = (self.y.place(v) for v in y_bar)
                out.append(f'<line x1="{px:.1f}" y1="{a:.1f}" x2="{px:.1f}" y2="{b:.1f}" class="bar s{series}"/>')
            kind = f"hollow s{series}" if hollow else f"f{series}"
            out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" class="{kind}"/>')
        return out

    def _path(self, points):
        return " ".join(f"{self.x.place(x):.1f},{self.y.place(y):.1f}" for x, y in points)


def chart(title, note, panels, legend):
    """The text of an SVG file. legend: (series, hollow, name)."""
    width = len(panels) * (LEFT + WIDTH + 20) + 20
    columns = 3 if len(panels) > 1 else 2
    rows = math.ceil(len(legend) / columns)
    height = TOP + HEIGHT + BOTTOM + 18 * rows
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" class="paper" role="img">',
        f"<title>{escape(title)}</title>", f"<style>\n{STYLE}\n</style>", '<rect class="ground" width="100%" height="100%"/>',
        f'<text x="20" y="26" class="title">{escape(title)}</text>', f'<text x="20" y="46" class="small">{escape(note)}</text>',
    ]
    for index, panel in enumerate(panels):
        out += panel.draw(20 + LEFT + index * (LEFT + WIDTH + 20))
    for index, (series, hollow, name) in enumerate(legend):
        x, y = 30 + (index % columns) * (width - 40) / columns, TOP + HEIGHT + BOTTOM + 18 * (index // columns)
        kind = f"hollow s{series}" if hollow else f"f{series}"
        out.append(f'<circle cx="{x:.1f}" cy="{y - 4}" r="4" class="{kind}"/><text x="{x + 10:.1f}" y="{y}">{escape(name)}</text>')
    return "\n".join(out) + "\n</svg>\n"
