extension [Int] {
  /// The product of the extents of a shape; nil where one is negative or the product overflows.
  package var product: Int? {
    var product = 1
    for extent in self {
      let (next, overflow) = product.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow else { return nil }
      product = next
    }
    return product
  }
}
