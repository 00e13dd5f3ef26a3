import Foundation

/// A file of tokens, 2 bytes each, little-endian, in one of two layouts, which are told apart by content:
///
/// - nothing but tokens, as nanoGPT's `prepare.py` scripts write them (https://github.com/karpathy/nanoGPT);
/// - a header of 256 numbers of 4 bytes, little-endian: 20240520, the version 1, the number of tokens, and zeros; then
///   the tokens, as llm.c's `data_common.py` writes them (https://github.com/karpathy/llm.c).
///
/// A file without header that begins with tokens 55,592 and 308, both beyond most vocabularies, is not understood.
struct TokenFile {
  let file: StoredFile
  /// Where the first token begins, in bytes.
  let offset: Int
  let count: Int

  private static let headerSize = 256 * 4
  private static let magic: UInt32 = 20_240_520
  /// The first number of llm.c's files of tokens of 4 bytes, which larger vocabularies need.
  private static let magicOfWideTokens: UInt32 = 20_240_801
  private static let remedy = "Make or fetch the file again."

  /// - Throws: `DatasetError.missing`, or `.damaged` if the file is in neither layout.
  init(path: String) throws(DatasetError) {
    let file = try StoredFile(path: path)
    func damaged(_ reason: String, byte: Int? = nil) -> DatasetError {
      .damaged(path: path, place: byte.map { .byte($0) }, reason: reason, remedy: Self.remedy)
    }
    guard file.size > 0 else { throw damaged("is empty") }
    let start: [UInt32] = try file.read(min(3, file.size / 4), at: 0)
    let header = start.map { UInt32(littleEndian: $0) }
    if header.first == Self.magicOfWideTokens {
      throw .damaged(
        path: path, place: .byte(0), reason: "holds tokens of 4 bytes, as llm.c writes them for Llama 3",
        remedy: "Make it with tokens of 2 bytes: `tokens` reads vocabularies up to 65536.")
    }
    guard header.first == Self.magic else {
      guard file.size.isMultiple(of: 2) else { throw damaged("\(file.size) bytes are no whole number of tokens, 2 bytes each") }
      (self.file, offset, count) = (file, 0, file.size / 2)
      return
    }
    guard file.size >= Self.headerSize else {
      throw damaged("ends within the header of llm.c's files, \(Self.headerSize) bytes", byte: file.size)
    }
    guard header[1] == 1 else { throw damaged("has version \(header[1]) of llm.c's files, not 1", byte: 4) }
    let bytes = file.size - Self.headerSize
    guard bytes == 2 * Int(header[2]) else {
      throw damaged("the header tells of \(header[2]) tokens, 2 bytes each, but \(bytes) bytes follow it", byte: 8)
    }
    (self.file, offset, count) = (file, Self.headerSize, Int(header[2]))
  }

  /// The tokens: in memory if there is room for them.
  /// - Parameter room: The largest size in bytes that stays in memory. It is reduced by what does, and 0 after what does
  ///   not.
  func text(room: inout Int) throws(DatasetError) -> NumberedText {
    let size = count * MemoryLayout<UInt16>.stride
    guard size <= room else {
      room = 0
      return NumberedText(place: .file(file, offset: offset), count: count, path: file.path)
    }
    var tokens: [UInt16] = try file.read(count, at: offset)
    for index in tokens.indices { tokens[index] = UInt16(littleEndian: tokens[index]) }
    room -= size
    return NumberedText(place: .memory(tokens), count: count, path: file.path)
  }
}
