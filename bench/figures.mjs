export const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]

/** Of each column of these rows. */
export const medians = (rows) =>
  Object.fromEntries(Object.keys(rows[0]).map((key) => [key, median(rows.map((row) => row[key]))]))

export const shuffled = (items) =>
  items
    .map((item) => [Math.random(), item])
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)

/** One line of a table. */
export const printRow = (name, cells, width = 13, nameWidth = 12) =>
  console.log(name.padEnd(nameWidth) + cells.map((cell) => String(cell).padStart(width)).join(''))
