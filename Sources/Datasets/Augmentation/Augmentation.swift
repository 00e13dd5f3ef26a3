import Tensors

/// Random changes of images when they are gathered into a batch: a cut of the image's own size from the image with a
/// border of zeros (Lee et al. 2015; He et al. 2016 use a border of 4 on CIFAR), and mirroring left to right with
/// probability 1/2.
///
/// The changes are a pure function of (seed, batch, row of the batch), so a batch is the same wherever it is
/// replayed.
public struct Augmentation: Sendable, Equatable, CustomStringConvertible {
  /// The width of the border in pixels; 0 for no cut.
  public let crop: Int
  public let flips: Bool

  public static let forms = "crop:P (cut from the image with a border of P zeros), flip, or crop:P,flip"

  /// Reads a specification such as `crop:4,flip`.
  /// - Throws: `DatasetError.impossible` if the specification is not valid.
  public init(_ specification: String) throws(DatasetError) {
    var (crop, flips) = (0, false)
    for word in specification.split(separator: ",", omittingEmptySubsequences: false) {
      if word == "flip", !flips {
        flips = true
      } else if word.hasPrefix("crop:"), crop == 0, let border = Int(word.dropFirst("crop:".count)),
        (1...1024).contains(border)
      {
        crop = border
      } else {
        throw .impossible("the augmentation '\(specification)' can't be read at '\(word)'; there are \(Self.forms)")
      }
    }
    self.crop = crop
    self.flips = flips
  }

  public var description: String {
    [crop > 0 ? "crop:\(crop)" : nil, flips ? "flip" : nil].compactMap(\.self).joined(separator: ",")
  }

  /// - Throws: `DatasetError.impossible` if examples are not images.
  public func check(exampleShape: [Int]) throws(DatasetError) {
    guard exampleShape.count == 3 else {
      throw .impossible(
        "'\(self)' changes images of height × width × channels, but examples have the shape \(exampleShape)")
    }
  }

  /// The changes of one batch, or of a part of it.
  public struct Batch: Sendable {
    private let augmentation: Augmentation
    private let source: RandomSource
    private let batch: Int
    private let firstRow: Int
    /// The height, the width and the number of channels.
    private let shape: (Int, Int, Int)

    /// - Parameter firstRow: The batch's row that is the first of the part.
    public init(_ augmentation: Augmentation, seed: UInt64, batch: Int, firstRow: Int = 0, exampleShape: [Int]) {
      self.augmentation = augmentation
      source = RandomSource(seed: seed, purpose: .augmentation)
      self.batch = batch
      self.firstRow = firstRow
      shape = (exampleShape[0], exampleShape[1], exampleShape[2])
    }

    /// The position of the cut in the bordered image of the part's `row`, and whether the image is mirrored.
    func choice(row: Int) -> (top: Int, left: Int, isMirrored: Bool) {
      let words = source.words(batch: batch, example: firstRow + row)
      let places = UInt64(2 * augmentation.crop + 1)
      return (
        Int((UInt64(words.x) * places) >> 32), Int((UInt64(words.y) * places) >> 32),
        augmentation.flips && words.z >> 31 == 1
      )
    }

    /// Writes the changed image to `target`. `value` returns the original values by index.
    @inline(__always)
    func move(row: Int, into target: MutableVector, value: (Int) -> Float) {
      let (height, width, channels) = shape
      let (top, left, isMirrored) = choice(row: row)
      var index = 0
      for y in 0..<height {
        let fromY = y + top - augmentation.crop
        for x in 0..<width {
          let fromX = (isMirrored ? width - 1 - x : x) + left - augmentation.crop
          let isInside = (0..<height).contains(fromY) && (0..<width).contains(fromX)
          let start = (fromY * width + fromX) * channels
          for channel in 0..<channels {
            target[index] = isInside ? value(start + channel) : 0
            index += 1
          }
        }
      }
    }
  }
}
