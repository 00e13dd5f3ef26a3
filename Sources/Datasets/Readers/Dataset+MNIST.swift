extension Dataset {
  /// Reads a folder of four IDX files named like those of MNIST: images and labels of a training and a test split,
  /// each plain or with `.gz`. Pixels are divided by 255, the classes are 0 to 9, and the image size is that of the
  /// files.
  static func mnist(folder: String, room: inout Int) throws(DatasetError) -> Dataset {
    let training = try mnistSplit("train", folder: folder, room: &room)
    let test = try mnistSplit("t10k", folder: folder, room: &room)
    guard training.exampleShape == test.exampleShape else {
      throw .damaged(
        path: folder,
        reason: "training images are \(training.exampleShape), test images \(test.exampleShape)",
        remedy: "Put files of one data set into the folder.")
    }
    return try Dataset(
      name: DatasetSpecification.mnist(folder: folder).description, training: training, test: test)
  }

  private static func mnistSplit(_ split: String, folder: String, room: inout Int) throws(DatasetError) -> Examples {
    let images = try IDXFile(folder: folder, name: "\(split)-images-idx3-ubyte", dimensionCount: 3, room: &room)
    // A byte for each image stays in memory, however many there are.
    var unlimited = Int.max
    let labels = try IDXFile(folder: folder, name: "\(split)-labels-idx1-ubyte", dimensionCount: 1, room: &unlimited)
    guard case .memory(let classes) = labels.bytes else { preconditionFailure("there is room for any number of bytes") }
    guard images.shape[0] == labels.shape[0] else {
      throw .damaged(
        path: labels.path, reason: "\(labels.shape[0]) labels, but \(images.shape[0]) images in \(images.path)",
        remedy: "Put files of one data set into the folder.")
    }
    if let index = classes.firstIndex(where: { $0 > 9 }) {
      throw .damaged(
        path: labels.path, place: .index(index), reason: "label \(classes[index]) is outside 0 to 9",
        remedy: "Fetch the file again, or number the classes 0 to 9.")
    }
    let shape = Array(images.shape[1...]) + [1]
    switch images.bytes {
    case .memory(let pixels):
      return try Examples(
        bytes: pixels, dividedBy: 255, exampleShape: shape, labels: classes.map(Int32.init), classCount: 10)
    case .file(let file, let offset):
      let rows = StoredRows(
        parts: [StoredRows.Part(file: file, offset: offset, count: classes.count)],
        form: .bytes(divisor: 255, labels: classes), featureCount: shape.reduce(1, *))
      return Examples(rows: rows, exampleShape: shape, classCount: 10)
    }
  }
}
