extension Dataset {
  /// The handwritten digits included in the package: 1,797 images of 8 × 8 pixels in 10 classes of about equal size.
  /// Pixels are 0 (paper) to 1 (ink) in sixteenths. Every fifth image, starting with the first, is a test image,
  /// which makes 1,437 training and 360 test images.
  ///
  /// Source: the test set of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, UCI Machine
  /// Learning Repository, 1998, https://doi.org/10.24432/C50P49, licensed under CC BY 4.0. Packed by
  /// `Scripts/make-digits.py`, in the order of the source.
  static func digits() throws(DatasetError) -> Dataset {
    let count = 1797
    let pixelCount = 64
    let brightest: Float = 16
    let records = try decompressed(PackageResources.digits_bin_gz, count: count * (pixelCount + 1))

    var pixels: (training: [UInt8], test: [UInt8]) = ([], [])
    var labels: (training: [Int32], test: [Int32]) = ([], [])
    for index in 0..<count {
      let start = index * (pixelCount + 1)
      let image = records[start..<start + pixelCount]
      let label = Int32(records[start + pixelCount])
      if isTest(index) {
        pixels.test += image
        labels.test.append(label)
      } else {
        pixels.training += image
        labels.training.append(label)
      }
    }
    return try Dataset(
      name: DatasetSpecification.digits.description,
      training: Examples(
        bytes: pixels.training, dividedBy: brightest, exampleShape: [8, 8, 1], labels: labels.training, classCount: 10),
      test: Examples(
        bytes: pixels.test, dividedBy: brightest, exampleShape: [8, 8, 1], labels: labels.test, classCount: 10))
  }
}
