import Tensors

/// Elements of a file whose decoded size is not known before its end. Few of them stay in memory, more of them go to a
/// temporary file, so that reading them takes little memory either way.
struct Collector<Element: BitwiseCopyable & ExpressibleByIntegerLiteral & Sendable>: ~Copyable {
  /// What was collected.
  enum Content: Sendable {
    case memory([Element])
    case file(StoredFile)
  }

  /// The size in bytes from which on elements go to a file while they are collected.
  private static var mostWhileCollecting: Int { 16 << 20 }
  /// The size in bytes of what is written at once.
  private static var pieceSize: Int { 1 << 20 }

  /// Those that are not in the file yet.
  private var elements: [Element] = []
  private var file: TemporaryFile?
  private let path: String
  /// The largest size in bytes that stays in memory.
  private let room: Int
  private(set) var count = 0

  /// - Parameters:
  ///   - path: The file that the elements are read from, for messages.
  ///   - room: The largest size in bytes that stays in memory.
  init(path: String, room: Int) {
    self.path = path
    self.room = room
  }

  mutating func append(_ more: some Collection<Element>) throws(DatasetError) {
    elements.append(contentsOf: more)
    count += more.count
    let size = elements.count * MemoryLayout<Element>.stride
    if file == nil, size <= min(room, Self.mostWhileCollecting) { return }
    if file == nil || size >= Self.pieceSize { try write() }
  }

  /// Moves the elements in memory to the file.
  private mutating func write() throws(DatasetError) {
    var file: TemporaryFile
    if let begun = self.file.take() { file = begun } else { file = try TemporaryFile() }
    try file.append(elements)
    self.file = consume file
    // What grew large is given back; a piece's memory serves again.
    elements.removeAll(keepingCapacity: elements.capacity * MemoryLayout<Element>.stride <= 2 * Self.pieceSize)
  }

  /// What was collected: in memory if there is room for it.
  /// - Parameter room: Is reduced by what stays in memory, and 0 after what does not.
  mutating func finish(room: inout Int) throws(DatasetError) -> Content {
    let size = count * MemoryLayout<Element>.stride
    guard file != nil else {
      room -= size
      return .memory(elements)
    }
    try write()
    guard let stored = try file?.stored(as: path) else { return .memory([]) }
    guard size <= room, SystemMemory.has(size) else {
      room = 0
      return .file(stored)
    }
    room -= size
    return .memory(try stored.read(count, at: 0))
  }
}
