import Datasets
import Testing

@Suite struct AugmentationTests {
  /// An image of 4 × 5 pixels and 2 channels whose values are 1, 2, 3, …, once as bytes and once as floats.
  static func images(asBytes: Bool, count: Int = 1) throws -> Examples {
    let values = (0..<count * 40).map { $0 % 40 + 1 }
    let labels = [Int32](repeating: 0, count: count)
    return asBytes
      ? try Examples(
        bytes: values.map { UInt8($0) }, dividedBy: 1, exampleShape: [4, 5, 2], labels: labels, classCount: 1)
      : try Examples(floats: values.map { Float($0) }, exampleShape: [4, 5, 2], labels: labels, classCount: 1)
  }

  /// The image cut from its border of zeros at (top, left) and then possibly mirrored.
  static func reference(border: Int, top: Int, left: Int, mirrored: Bool) -> [Float] {
    var bordered = [[[Float]]](
      repeating: [[Float]](repeating: [0, 0], count: 5 + 2 * border), count: 4 + 2 * border)
    for y in 0..<4 { for x in 0..<5 { for c in 0..<2 { bordered[y + border][x + border][c] = Float((y * 5 + x) * 2 + c + 1) } } }
    return bordered[top..<top + 4].flatMap { row in
      let cut = Array(row[left..<left + 5])
      return (mirrored ? cut.reversed() : cut).flatMap(\.self)
    }
  }

  @Test(arguments: ["crop:2,flip", "crop:1", "flip", "flip,crop:3"])
  func everyChangeOccursAndNoOther(specification: String) throws {
    let augmentation = try Augmentation(specification)
    let border = augmentation.crop
    var expected: [[Float]: Int] = [:]
    for top in 0...2 * border {
      for left in 0...2 * border {
        expected[Self.reference(border: border, top: top, left: left, mirrored: false)] = 0
        if augmentation.flips { expected[Self.reference(border: border, top: top, left: left, mirrored: true)] = 0 }
      }
    }
    let images = try Self.images(asBytes: true, count: 20)
    for batch in 1...200 {
      let change = Augmentation.Batch(augmentation, seed: 3, batch: batch, exampleShape: images.exampleShape)
      let features = try gathered(Array(0..<20), of: images, augmentation: change).features
      for row in 0..<20 {
        let image = Array(features[row * 40..<(row + 1) * 40])
        #expect(expected[image] != nil)
        expected[image, default: 0] += 1
      }
    }
    // All cuts that contain nothing of the image are the same.
    if border < 3 { #expect(abs(chiSquareDeviation(Array(expected.values))) < 4) }
    #expect(expected.values.allSatisfy { $0 > 0 })
  }

  @Test func isAPureFunctionOfSeedBatchAndRow() throws {
    let augmentation = try Augmentation("crop:2,flip")
    func features(_ indices: [Int], seed: UInt64, batch: Int, asBytes: Bool = true) throws -> [Float] {
      let images = try Self.images(asBytes: asBytes, count: 8)
      let change = Augmentation.Batch(augmentation, seed: seed, batch: batch, exampleShape: images.exampleShape)
      return try gathered(indices, of: images, augmentation: change).features
    }
    let expected = try features([0, 1, 2, 3], seed: 1, batch: 5)
    #expect(try features([0, 1, 2, 3], seed: 1, batch: 5) == expected)
    #expect(try features([0, 1, 2, 3], seed: 1, batch: 5, asBytes: false) == expected)
    #expect(try features([7, 6, 5, 4], seed: 1, batch: 5) == expected, "rows decide, not examples")
    #expect(try features([0, 1, 2, 3], seed: 2, batch: 5) != expected)
    #expect(try features([0, 1, 2, 3], seed: 1, batch: 6) != expected)
  }

  @Test(arguments: ["", "crop", "crop:0", "crop:-1", "crop:x", "flip,flip", "crop:1,crop:2", "rotate", "flip,"])
  func unreadable(specification: String) {
    #expect(failure { try Augmentation(specification) }?.isImpossible == true)
  }

  @Test func needsImages() throws {
    let augmentation = try Augmentation("flip")
    #expect(failure { try augmentation.check(exampleShape: [7]) }?.isImpossible == true)
    try augmentation.check(exampleShape: [7, 7, 1])
    #expect(try Augmentation("flip,crop:3").description == "crop:3,flip")
  }
}
