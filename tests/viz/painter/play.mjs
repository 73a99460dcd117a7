// Plays calls of a Drawing: {folder, width, height, calls: [[name, ...arguments]]} on stdin; on
// stdout what it told, as numbers, the labels at the end, and what each call gave back.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { folder, width, height, calls } = JSON.parse(readFileSync(0, "utf8"));
const { Drawing } = await import(pathToFileURL(`${folder}/drawing.js`));
const { outlines } = await import(pathToFileURL(`${folder}/pixels.js`));
const told = [];
const bytes = (view) => [...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)];
const drawing = new Drawing(width, height, { onChange: (runs) => told.push(bytes(runs)) });
const given = calls.map(([name, ...rest]) => {
  if (name === "load") return drawing.load(new DataView(Uint8Array.from(rest[0]).buffer));
  if (name === "set") return void (drawing[rest[0]] = rest[1]);
  return drawing[name](...rest);
});
const lines = outlines(drawing.map, [0, 0, width, height]);
console.log(JSON.stringify({ told, given, labels: [...drawing.map.labels], lines }));
