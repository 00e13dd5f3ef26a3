extension Dataset {
  /// Reads a folder of four IDX files named like those of MNIST: images and labels of a training and a test split,
  /// each plain or with `.gz`. Pixels are divided by 255, the classes are 0 to 9, and the image size is that of the
  /// files.
  static func mnist(folder: String) throws(DatasetError) -> Dataset {
    let training = try mnistSplit("train", folder: folder)
    let test = try mnistSplit("t10k", folder: folder)
    guard training.exampleShape == test.exampleShape else {
      throw .damaged(
        path: folder,
        reason: "training images are \(training.exampleShape), test images \(test.exampleShape)",
        remedy: "Put files of one data set into the folder.")
    }
    return try Dataset(
      name: DatasetSpecification.mnist(folder: folder).description, training: training, test: test)
  }

  private static func mnistSplit(_ split: String, folder: String) throws(DatasetError) -> Examples {
    let images = try IDXFile(folder: folder, name: "\(split)-images-idx3-ubyte", dimensionCount: 3)
    let labels = try IDXFile(folder: folder, name: "\(split)-labels-idx1-ubyte", dimensionCount: 1)
    guard images.shape[0] == labels.shape[0] else {
      throw .damaged(
        path: labels.path, reason: "\(labels.shape[0]) labels, but \(images.shape[0]) images in \(images.path)",
        remedy: "Put files of one data set into the folder.")
    }
    if let index = labels.bytes.firstIndex(where: { $0 > 9 }) {
      throw .damaged(
        path: labels.path, place: .index(index), reason: "label \(labels.bytes[index]) is outside 0 to 9",
        remedy: "Fetch the file again, or number the classes 0 to 9.")
    }
    return try Examples(
      bytes: images.bytes, dividedBy: 255, exampleShape: images.shape[1...] + [1], labels: labels.bytes.map(Int32.init),
      classCount: 10)
  }
}
