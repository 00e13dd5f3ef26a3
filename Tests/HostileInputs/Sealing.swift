import CZstd
import Tensors

/// Corrects the checksums of the frames and the table of a checkpoint file, as far as it has the form of one.
func sealed(checkpoint bytes: [UInt8]) -> [UInt8] {
  var bytes = bytes
  func number(at offset: Int, _ count: Int) -> Int {
    (0..<count).reversed().reduce(0) { $0 << 8 | Int(bytes[offset + $1]) }
  }
  func put(_ digest: Digest, at offset: Int) {
    for (word, start) in [(digest.low, offset), (digest.high, offset + 8)] {
      for byte in 0..<8 { bytes[start + byte] = UInt8(truncatingIfNeeded: word >> UInt64(8 * byte)) }
    }
  }
  guard bytes.count >= 92 else { return bytes }
  let (size, sections, frames) = (number(at: 12, 4), number(at: 68, 4), number(at: 72, 4))
  guard size <= bytes.count, size >= 76 + 12 * sections + 20 * frames + 16 else { return bytes }
  var start = size
  for frame in 0..<frames {
    let entry = 76 + 12 * sections + 20 * frame
    let end = start + number(at: entry, 4)
    guard end <= bytes.count else { break }
    put(Digest(of: bytes.span.extracting(start..<end).bytes), at: entry + 4)
    start = end
  }
  put(Digest(of: bytes.span.extracting(0..<size - 16).bytes), at: size - 16)
  return bytes
}

/// A journal whose frames have these contents: that of the header up to the first line feed; then, for each further
/// frame, two little-endian bytes with its length, and the content itself.
func seekable(frames bytes: [UInt8]) -> [UInt8] {
  let headerEnd = (bytes.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count - 1) + 1
  var contents = [Array(bytes[..<headerEnd])]
  var next = headerEnd
  while next + 2 <= bytes.count, contents.count < 100 {
    let length = Int(bytes[next]) | Int(bytes[next + 1]) << 8
    contents.append(Array(bytes[(next + 2)...].prefix(length)))
    next += 2 + length
  }
  var file: [UInt8] = []
  var table: [UInt8] = []
  func append(_ number: Int, to bytes: inout [UInt8]) {
    for byte in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: number >> (8 * byte))) }
  }
  for content in contents {
    let frame = compressed(content)
    file += frame
    append(frame.count, to: &table)
    append(content.count, to: &table)
    table += frame.suffix(4)
  }
  append(0x184D_2A5E, to: &file)
  append(table.count + 9, to: &file)
  file += table
  append(contents.count, to: &file)
  file.append(0x80)
  append(0x8F92_EAB1, to: &file)
  return file
}

private func compressed(_ content: [UInt8]) -> [UInt8] {
  let context = ZSTD_createCCtx()
  defer { ZSTD_freeCCtx(context) }
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
  var frame = [UInt8](repeating: 0, count: ZSTD_compressBound(content.count))
  let size = ZSTD_compress2(context, &frame, frame.count, content, content.count)
  return Array(frame.prefix(ZSTD_isError(size) == 0 ? size : 0))
}
