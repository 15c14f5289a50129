/** For each row, the place of its largest number. */
export function argMax({ data, dims: [rows, columns] }) {
  return Array.from({ length: rows }, (_, row) => {
    const numbers = data.subarray(row * columns, (row + 1) * columns);
    return numbers.indexOf(Math.max(...numbers));
  });
}
