// Label maps without a browser: what a tool does to pixels, and how maps travel to Python.
//
// A map is {labels: Uint8Array, width, height}, row by row. Points are [x, y] in pixels from the upper
// left corner: pixel (column, row) covers column..column+1, and its centre is at column+0.5. What
// changes pixels gives back the rectangle that it may have changed, [left, top, right, bottom].

/** Runs of equal labels as little-endian pairs (label, length) of uint32: small, whole and quick. */
export function encodeRuns(labels) {
  const pairs = [];
  for (let start = 0, end = 0; start < labels.length; start = end) {
    while (end < labels.length && labels[end] === labels[start]) end++;
    pairs.push(labels[start], end - start);
  }
  const bytes = new DataView(new ArrayBuffer(4 * pairs.length));
  pairs.forEach((value, i) => bytes.setUint32(4 * i, value, true));
  return bytes;
}

/** The other way round, into an array of `count` labels; null where the runs do not fill it. */
export function decodeRuns(bytes, count) {
  const labels = new Uint8Array(count);
  let end = 0;
  for (let i = 0; i + 8 <= bytes.byteLength; i += 8) {
    const length = bytes.getUint32(i + 4, true);
    if (end + length > count) return null;
    labels.fill(bytes.getUint32(i, true), end, end + length);
    end += length;
  }
  return end === count ? labels : null;
}

export function sameBytes(a, b) {
  if (a.byteLength !== b.byteLength) return false;
  for (let i = 0; i < a.byteLength; i++) if (a.getUint8(i) !== b.getUint8(i)) return false;
  return true;
}

function within(map, [left, top, right, bottom]) {
  const whole = (value, most) => Math.min(Math.max(value, 0), most);
  return [
    whole(Math.floor(left), map.width), whole(Math.floor(top), map.height),
    whole(Math.ceil(right), map.width), whole(Math.ceil(bottom), map.height),
  ];
}

/** All pixels whose centre is at most `radius` from the line between two points; one at least. */
export function drawStroke(map, [x0, y0], [x1, y1], radius, label) {
  const reach = Math.max(radius, Math.SQRT1_2);
  const box = within(map, [
    Math.min(x0, x1) - reach, Math.min(y0, y1) - reach,
    Math.max(x0, x1) + reach, Math.max(y0, y1) + reach,
  ]);
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  for (let row = box[1]; row < box[3]; row++) {
    for (let column = box[0]; column < box[2]; column++) {
      const [px, py] = [column + 0.5 - x0, row + 0.5 - y0];
      const along = length ? Math.min(Math.max((px * dx + py * dy) / length, 0), 1) : 0;
      const [ax, ay] = [px - along * dx, py - along * dy];
      if (ax * ax + ay * ay <= reach * reach) map.labels[row * map.width + column] = label;
    }
  }
  return box;
}

/** Every pixel that a box touches. */
export function drawBox(map, [x0, y0], [x1, y1], label) {
  const box = within(map, [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)]);
  for (let row = box[1]; row < box[3]; row++) {
    map.labels.fill(label, row * map.width + box[0], row * map.width + box[2]);
  }
  return box;
}

/** Pixels whose centre lies inside a polygon; where it crosses itself, by the even-odd rule. */
export function drawPolygon(map, points, label) {
  const xs = points.map((p) => p[0]);
  const ys = points.map((p) => p[1]);
  const box = within(map, [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)]);
  for (let row = box[1]; row < box[3]; row++) {
    const y = row + 0.5;
    const crossings = [];
    points.forEach(([ax, ay], i) => {
      const [bx, by] = points[(i + 1) % points.length];
      if (ay <= y !== by <= y) crossings.push(ax + ((y - ay) / (by - ay)) * (bx - ax));
    });
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const first = Math.max(Math.ceil(crossings[i] - 0.5), 0);
      const last = Math.min(Math.ceil(crossings[i + 1] - 0.5), map.width);
      if (first < last) map.labels.fill(label, row * map.width + first, row * map.width + last);
    }
  }
  return box;
}

/** The connected piece of equal labels that holds a point, over edges, not corners. */
export function fillPiece(map, [x, y], label) {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  const { labels, width, height } = map;
  if (column < 0 || row < 0 || column >= width || row >= height) return [0, 0, 0, 0];
  const old = labels[row * width + column];
  if (old === label) return [0, 0, 0, 0];
  const waiting = [row * width + column];
  while (waiting.length) {
    const place = waiting.pop();
    if (labels[place] !== old) continue;
    const start = place - (place % width);
    let left = place;
    let right = place;
    while (left > start && labels[left - 1] === old) left--;
    while (right + 1 < start + width && labels[right + 1] === old) right++;
    labels.fill(label, left, right + 1);
    for (const step of [-width, width]) {
      if (start + step < 0 || start + step >= labels.length) continue;
      for (let i = left + step, inside = false; i <= right + step; i++) {
        if (labels[i] === old && !inside) waiting.push(i);
        inside = labels[i] === old;
      }
    }
  }
  return [0, 0, width, height];
}

/** Edges between pixels of different labels, in a rectangle: lines [x0, y0, x1, y1], long ones in
 *  one. Edges on the rectangle's upper and left side belong to it, those on the others do not; the
 *  picture's own border counts as background. */
export function outlines(map, [left, top, right, bottom]) {
  const { labels, width, height } = map;
  const at = (column, row) =>
    column < 0 || row < 0 || column >= width || row >= height ? 0 : labels[row * width + column];
  const lines = [];
  const follow = (from, to, differs, line) => {
    for (let i = from, start = -1; i <= to; i++) {
      const edge = i < to && differs(i);
      if (edge && start < 0) start = i;
      if (!edge && start >= 0) { lines.push(line(start, i)); start = -1; }
    }
  };
  const lastRow = bottom === height ? height + 1 : bottom;
  const lastColumn = right === width ? width + 1 : right;
  for (let y = top; y < lastRow; y++) {
    follow(left, right, (x) => at(x, y) !== at(x, y - 1), (a, b) => [a, y, b, y]);
  }
  for (let x = left; x < lastColumn; x++) {
    follow(top, bottom, (y) => at(x, y) !== at(x - 1, y), (a, b) => [x, a, x, b]);
  }
  return lines;
}
