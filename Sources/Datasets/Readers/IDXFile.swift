import Foundation

/// An array of unsigned bytes in the IDX format of MNIST: the bytes 0, 0, 8 (the type: unsigned byte) and the number of
/// dimensions; then each extent, 4 bytes big-endian; then the elements, row-major, to the end of the file.
///
/// LeCun, Cortes, Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist/.
struct IDXFile {
  let path: String
  let shape: [Int]
  /// The elements. Their number is the product of `shape`.
  let bytes: FileBytes

  /// Reads `name` or `name.gz`, whichever the folder contains.
  /// - Parameter room: The largest size in bytes of elements that are read into memory. It is reduced by what is.
  /// - Throws: `DatasetError.missing`, or `.damaged` if the header or the length is wrong.
  init(folder: String, name: String, dimensionCount: Int, room: inout Int) throws(DatasetError) {
    let candidates = [name, "\(name).gz"]
    let paths = candidates.map { "\(folder)/\($0)" }
    guard let path = paths.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
      throw .missing(
        path: folder, reason: "holds neither \(candidates[0]) nor \(candidates[1])",
        remedy: "Check the folder's path, or fetch the four files of MNIST or a data set like it into it.")
    }
    var file = try InputFile(path: path)

    let magic = try file.read(4, for: "the magic number")
    guard magic == [0, 0, 8, UInt8(dimensionCount)] else {
      throw .damaged(
        path: path, place: .byte(0),
        reason: "starts with the bytes \(magic), not with \([0, 0, 8, dimensionCount]) as an IDX file of bytes with "
          + "\(dimensionCount) dimensions does",
        remedy: "Fetch the file again, and check that it is not another one renamed.")
    }
    let header = try file.read(4 * dimensionCount, for: "the header")
    let shape = (0..<dimensionCount).map { dimension in
      header[4 * dimension..<4 * dimension + 4].reduce(0) { $0 << 8 | Int($1) }
    }
    guard let count = shape.product, count > 0 else {
      throw .damaged(
        path: path, place: .byte(4), reason: "has the impossible extents \(shape)", remedy: "Fetch the file again.")
    }
    bytes = try file.readRest(count, for: "the elements of \(shape)", room: &room)
    self.path = path
    self.shape = shape
  }
}
