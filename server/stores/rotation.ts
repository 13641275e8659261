/** Goes through a collection again and again, some of it at a time. */
export class Rotation<Item> {
  #iterator: Iterator<Item> | undefined

  /** The next of these, so many that each has its turn in so many steps. */
  next(all: ReadonlyMap<Item, unknown>, steps: number): Item[] {
    const some: Item[] = []
    while (some.length < Math.ceil(all.size / steps)) {
      this.#iterator ??= all.keys()
      const { value, done } = this.#iterator.next()
      if (done) this.#iterator = undefined
      else some.push(value)
    }
    return some
  }
}
