import CZlib
import Foundation

/// Decompresses the content of a gzip file (RFC 1952), member after member.
///
/// After a member there may be another complete one, or zeros up to the end of the file, as tapes leave them. zlib's
/// own reader takes anything else for padding, and so would take a file whose second member is damaged for one that
/// ends with its first.
struct GzipStream: ~Copyable {
  struct Damage: Error {
    let reason: String
  }

  private enum Place {
    /// Inside the member that begins at this offset of the file.
    case member(start: Int)
    case betweenMembers
    case end
  }

  /// zlib's state contains a pointer to its stream, so the stream must not move.
  private let stream: UnsafeMutablePointer<z_stream>
  private var place = Place.betweenMembers
  private var input: [UInt8] = []
  private var next = 0
  /// The offset in the file of the end of `input`.
  private var inputEnd = 0

  private static let chunk = 1 << 18

  private let isReady: Bool

  init() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // 15 is the largest window; adding 16 requires gzip headers and checksums.
    isReady = inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
  }

  deinit {
    if isReady { inflateEnd(stream) }
    stream.deallocate()
  }

  /// Fills `output` with as much content as there is.
  /// - Parameter read: Returns the next bytes of the file, up to the given number; none at its end.
  /// - Returns: The number of bytes written. It is less than `output.count` only at the end of the file.
  mutating func fill(
    _ output: UnsafeMutableBufferPointer<UInt8>, read: (Int) throws(DatasetError) -> [UInt8],
    damaged: (Damage) -> DatasetError
  ) throws(DatasetError) -> Int {
    guard isReady else { throw damaged(Damage(reason: "there is no memory to decompress it with")) }
    var filled = 0
    while filled < output.count {
      if next == input.count { try refill(read) }
      switch place {
      case .end:
        return filled
      case .betweenMembers:
        if input.isEmpty {
          place = .end
        } else if input[next] == 0 {
          try skipPadding(read: read, damaged: damaged)
        } else {
          inflateReset(stream)
          place = .member(start: inputEnd - input.count + next)
        }
      case .member(let start):
        let written: Int
        do {
          written = try inflateMember(into: UnsafeMutableBufferPointer(rebasing: output[filled...]))
        } catch {
          let reason = "what begins at byte \(start) of the file is no sound member (\(error.reason))"
          throw damaged(Damage(reason: "the gzip stream is corrupt: \(reason)"))
        }
        filled += written
        // Even without input, zlib may still have output.
        if written == 0, input.isEmpty, case .member = place {
          throw damaged(
            Damage(reason: "the gzip stream is truncated: the member from byte \(start) of the file on is cut off"))
        }
      }
    }
    return filled
  }

  /// Decompresses the available input of a member.
  private mutating func inflateMember(into output: UnsafeMutableBufferPointer<UInt8>) throws(Damage) -> Int {
    // zlib counts in 32 bits.
    let room = min(output.count, 1 << 30)
    let status = input.withUnsafeMutableBufferPointer { [next] input in
      stream.pointee.next_in = input.baseAddress.map { $0 + next }
      stream.pointee.avail_in = UInt32(input.count - next)
      stream.pointee.next_out = output.baseAddress
      stream.pointee.avail_out = UInt32(room)
      return inflate(stream, Z_NO_FLUSH)
    }
    next = input.count - Int(stream.pointee.avail_in)
    switch status {
    case Z_STREAM_END: place = .betweenMembers
    case Z_OK, Z_BUF_ERROR: break
    case Z_MEM_ERROR: throw Damage(reason: "there is no memory to decompress it with")
    default: throw Damage(reason: stream.pointee.msg.map { String(cString: $0) } ?? "zlib's status is \(status)")
    }
    return room - Int(stream.pointee.avail_out)
  }

  /// Reads zeros up to the end of the file.
  private mutating func skipPadding(
    read: (Int) throws(DatasetError) -> [UInt8], damaged: (Damage) -> DatasetError
  ) throws(DatasetError) {
    while !input.isEmpty {
      if let other = input[next...].firstIndex(where: { $0 != 0 }) {
        let offset = inputEnd - input.count + other
        throw damaged(Damage(reason: "the gzip stream is corrupt: byte \(offset) of the file follows padding and is not zero"))
      }
      try refill(read)
    }
    place = .end
  }

  private mutating func refill(_ read: (Int) throws(DatasetError) -> [UInt8]) throws(DatasetError) {
    input = try read(Self.chunk)
    next = 0
    inputEnd += input.count
  }
}

/// Decompresses a single gzip member with exactly `count` bytes of content.
func decompressed(_ gzip: [UInt8], count: Int) throws(DatasetError) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: count)
  var source = gzip
  var stream = z_stream()
  // 15 is the largest window; adding 16 requires a gzip header and checksum.
  var status = inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  if status == Z_OK {
    source.withUnsafeMutableBufferPointer { input in
      bytes.withUnsafeMutableBufferPointer { output in
        stream.next_in = input.baseAddress
        stream.avail_in = UInt32(input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = UInt32(output.count)
        status = inflate(&stream, Z_FINISH)
      }
    }
    inflateEnd(&stream)
  }
  guard status == Z_STREAM_END, stream.avail_out == 0 else {
    throw .damaged(
      path: "built-in data", reason: "does not decompress (zlib status \(status))", remedy: "Build the package again.")
  }
  return bytes
}
