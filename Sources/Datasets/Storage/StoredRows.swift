import Tensors

/// Examples of equal size in files, of which each is read when a batch has it.
struct StoredRows: Sendable {
  /// Examples that follow each other in a file.
  struct Part: Sendable {
    let file: StoredFile
    /// Where the first begins, in bytes.
    let offset: Int
    let count: Int
  }

  /// What a row holds.
  enum Form: Sendable {
    /// The features as bytes, which are divided by `divisor`. The labels are in memory.
    case bytes(divisor: Float, labels: [UInt8])
    /// `labelBytes` bytes, of which the last is the label, then the features as bytes, channel after channel, which are
    /// divided by `divisor`.
    case planes(labelBytes: Int, channels: Int, divisor: Float)
    /// The features as floats, NaN where the mean of the column takes the place of a missing value, then the target:
    /// the bits of an Int32 if it is a class.
    case floats(means: [Float]?, range: ClosedRange<Float>?)
  }

  let parts: [Part]
  let form: Form
  let featureCount: Int

  var count: Int { parts.reduce(0) { $0 + $1.count } }

  /// The size of a row in bytes.
  private var rowBytes: Int {
    switch form {
    case .bytes: featureCount
    case .planes(let labelBytes, _, _): labelBytes + featureCount
    case .floats: (featureCount + 1) * MemoryLayout<Float>.stride
    }
  }

  /// The size in bytes of what is in memory.
  var byteCount: Int {
    if case .bytes(_, let labels) = form { labels.count } else { 0 }
  }

  /// The least and the largest target if targets are values.
  var valueRange: ClosedRange<Float>? {
    if case .floats(_, let range) = form { range } else { nil }
  }

  // MARK: Batches

  /// Does what `Examples.gather` does. It allocates the memory of one example.
  /// - Throws: `DatasetError.failed` if a file is not what it was when it was opened.
  func gather(
    _ indices: [Int], classCount: Int?, into inputs: MutableMatrix, targets: inout Targets, augmentation: Augmentation.Batch?
  ) throws(DatasetError) {
    switch form {
    case .bytes(let divisor, let labels):
      var bytes = [UInt8](repeating: 0, count: rowBytes)
      for row in indices.indices {
        try read(indices[row], into: &bytes)
        write(bytes, dividedBy: divisor, to: row, of: inputs, augmentation)
        targets.classes[row] = Int32(labels[indices[row]])
      }
    case .planes(let labelBytes, let channels, let divisor):
      var record = [UInt8](repeating: 0, count: rowBytes)
      var pixels = [UInt8](repeating: 0, count: featureCount)
      for row in indices.indices {
        let file = try read(indices[row], into: &record)
        interleave(record, from: labelBytes, channels: channels, into: &pixels, at: 0)
        write(pixels, dividedBy: divisor, to: row, of: inputs, augmentation)
        targets.classes[row] = Int32(record[labelBytes - 1])
        // The label was one when the file was opened.
        guard Int(record[labelBytes - 1]) < classCount ?? 0 else { throw file.hasChanged("it has another label") }
      }
    case .floats(let means, _):
      var values = [Float](repeating: 0, count: featureCount + 1)
      for row in indices.indices {
        try read(indices[row], into: &values)
        let target = values.removeLast()
        if let means { fill(&values, with: means) }
        if let augmentation {
          augmentation.move(row: row, into: inputs[row: row]) { values[$0] }
        } else {
          inputs[row: row].copy(floats: values.span)
        }
        switch targets.kind {
        case .classes: targets.classes[row] = Int32(bitPattern: target.bitPattern)
        case .values: targets.values[row] = target
        }
        values.append(0)
      }
    }
    try checkIsUnchanged()
  }

  private func write(
    _ bytes: [UInt8], dividedBy divisor: Float, to row: Int, of inputs: MutableMatrix, _ augmentation: Augmentation.Batch?
  ) {
    if let augmentation {
      augmentation.move(row: row, into: inputs[row: row]) { Float(bytes[$0]) / divisor }
    } else {
      inputs[row: row].copy(bytes: bytes.span, dividedBy: divisor)
    }
  }

  /// Overwrites `row` with example `index`.
  /// - Returns: The file it comes from.
  @discardableResult
  private func read<Element: BitwiseCopyable>(_ index: Int, into row: inout [Element]) throws(DatasetError) -> StoredFile {
    var place = index
    for part in parts {
      if place < part.count {
        try part.file.read(row.count, into: &row, at: part.offset + place * rowBytes)
        return part.file
      }
      place -= part.count
    }
    preconditionFailure("there is no example \(index)")
  }

  /// Writes the features of a record of planes to `pixels` from `start` on, channels last.
  private func interleave(
    _ record: [UInt8], from offset: Int, channels: Int, into pixels: inout [UInt8], at start: Int
  ) {
    let pixelCount = featureCount / channels
    for channel in 0..<channels {
      let plane = offset + channel * pixelCount
      for pixel in 0..<pixelCount { pixels[start + pixel * channels + channel] = record[plane + pixel] }
    }
  }

  /// Replaces NaN by the column's mean in rows of features.
  private func fill(_ values: inout [Float], with means: [Float]) {
    for index in values.indices where values[index].isNaN { values[index] = means[index % means.count] }
  }

  // MARK: Digests

  /// Adds the classes, 4 bytes each; nothing if targets are values.
  func addLabels(_ kind: Targets.Kind, to digest: inout DigestBuilder) throws(DatasetError) {
    guard kind == .classes else { return }
    switch form {
    case .bytes(_, let labels):
      for start in stride(from: 0, to: labels.count, by: 1 << 18) {
        let piece = labels[start..<min(start + 1 << 18, labels.count)].map { Int32($0) }
        digest.add(piece.span.bytes)
      }
    case .planes(let labelBytes, _, _):
      for piece in pieces {
        let rows: [UInt8] = try read(piece)
        let labels = stride(from: labelBytes - 1, to: rows.count, by: rowBytes).map { Int32(rows[$0]) }
        digest.add(labels.span.bytes)
      }
      try checkIsUnchanged()
    case .floats:
      try addTargets(to: &digest)
    }
  }

  /// Adds the targets of a table, 4 bytes each.
  func addTargets(to digest: inout DigestBuilder) throws(DatasetError) {
    for piece in pieces {
      let rows: [Float] = try read(piece)
      let targets = stride(from: featureCount, to: rows.count, by: featureCount + 1).map { rows[$0] }
      digest.add(targets.span.bytes)
    }
    try checkIsUnchanged()
  }

  /// Adds the divisor, 0 if there is none, and the features as they are gathered.
  func addFeatures(to digest: inout DigestBuilder) throws(DatasetError) {
    switch form {
    case .bytes(let divisor, _), .planes(_, _, let divisor): digest.add(Int(divisor.bitPattern))
    case .floats: digest.add(0)
    }
    for piece in pieces {
      switch form {
      case .bytes:
        let rows: [UInt8] = try read(piece)
        digest.add(rows.span.bytes)
      case .planes(let labelBytes, let channels, _):
        let rows: [UInt8] = try read(piece)
        var pixels = [UInt8](repeating: 0, count: piece.count * featureCount)
        for row in 0..<piece.count {
          interleave(rows, from: row * rowBytes + labelBytes, channels: channels, into: &pixels, at: row * featureCount)
        }
        digest.add(pixels.span.bytes)
      case .floats(let means, _):
        let rows: [Float] = try read(piece)
        var features: [Float] = []
        features.reserveCapacity(rows.count)
        for start in stride(from: 0, to: rows.count, by: featureCount + 1) { features += rows[start..<start + featureCount] }
        if let means { fill(&features, with: means) }
        digest.add(features.span.bytes)
      }
    }
    try checkIsUnchanged()
  }

  /// Rows that are read at once: all of them, part after part.
  private var pieces: some Sequence<Part> {
    let most = max(1, (1 << 20) / rowBytes)
    return parts.lazy.flatMap { part in
      stride(from: 0, to: part.count, by: most).lazy.map { first in
        Part(file: part.file, offset: part.offset + first * rowBytes, count: min(most, part.count - first))
      }
    }
  }

  private func read<Element: BitwiseCopyable & ExpressibleByIntegerLiteral>(_ piece: Part) throws(DatasetError) -> [Element] {
    try piece.file.read(piece.count * rowBytes / MemoryLayout<Element>.stride, at: piece.offset)
  }

  private func checkIsUnchanged() throws(DatasetError) {
    for part in parts { try part.file.checkIsUnchanged() }
  }
}
