import Foundation

/// The operations of a process on the files below a folder, as recorded by `Tests/Faults`.
struct FileLog {
  enum Event {
    case open(handle: UInt32, path: String, isNew: Bool, isTruncated: Bool)
    case write(handle: UInt32, offset: Int, bytes: ArraySlice<UInt8>)
    case truncate(handle: UInt32, size: Int)
    case sync(handle: UInt32, path: String)
    case makeFolder(String)
    case rename(String, String)
    case remove(String)
    /// Text written to standard output.
    case print
    case read
  }

  private(set) var events: [Event] = []

  /// - Parameter hasReads: Whether reads are among the events.
  init(path: String, hasReads: Bool = false) throws {
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    var place = 0
    func integer(_ size: Int) -> Int {
      defer { place += size }
      return bytes[place..<place + size].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    func text() -> String {
      let size = integer(4)
      defer { place += size }
      return String(decoding: bytes[place..<place + size], as: UTF8.self)
    }
    while place < bytes.count {
      let operation = Character(UnicodeScalar(UInt8(integer(1))))
      let handle = UInt32(integer(4))
      let (path, other, offset, count) = (text(), text(), integer(8), integer(8))
      switch operation {
      case "o": events.append(.open(handle: handle, path: path, isNew: offset & 1 != 0, isTruncated: offset & 2 != 0))
      case "w":
        events.append(.write(handle: handle, offset: offset, bytes: bytes[place..<place + count]))
        place += count
      case "t": events.append(.truncate(handle: handle, size: offset))
      case "s": events.append(.sync(handle: handle, path: path))
      case "d": events.append(.makeFolder(path))
      case "r": events.append(.rename(path, other))
      case "u": events.append(.remove(path))
      case "R": if hasReads { events.append(.read) }
      default:
        events.append(.print)
        place += count
      }
    }
  }
}

/// A disk after a power cut: it contains what was synced, and of the rest whatever the cut has left.
struct DiskModel {
  /// The effect of a power cut on writes and names that were not synced.
  enum Cut: CaseIterable {
    /// All are lost.
    case losesAll
    /// Names are kept and contents lost, as on a file system that journals names only.
    case losesContents
    /// Each is kept or lost at random, whatever their order.
    case random
    /// Nothing is lost: the process was killed.
    case losesNothing
  }

  private struct Node {
    var synced: [UInt8] = []
    var pending: [Change] = []
    var isFolder = false
  }

  private enum Change {
    case write(offset: Int, bytes: ArraySlice<UInt8>)
    case truncate(Int)
  }

  private enum Naming {
    case add(String, Int)
    case remove(String)
    case rename(String, String)

    /// The folder whose sync makes the name permanent.
    var folder: String {
      switch self {
      case .add(let path, _), .remove(let path), .rename(_, let path): URL(fileURLWithPath: path).deletingLastPathComponent().path
      }
    }
  }

  private var nodes: [Node] = []
  private var handles: [UInt32: Int] = [:]
  /// The names as the process sees them.
  private var names: [String: Int] = [:]
  private var syncedNames: [String: Int] = [:]
  private var pendingNames: [Naming] = []

  mutating func apply(_ event: FileLog.Event) {
    switch event {
    case .open(let handle, let path, let isNew, let isTruncated):
      if isNew || names[path] == nil {
        // A folder that existed before the log began has no node, and needs none.
        guard isNew else { return }
        nodes.append(Node())
        name(.add(path, nodes.count - 1))
      }
      handles[handle] = names[path]
      if isTruncated, !isNew { change(handle, .truncate(0)) }
    case .write(let handle, let offset, let bytes): change(handle, .write(offset: offset, bytes: bytes))
    case .truncate(let handle, let size): change(handle, .truncate(size))
    case .sync(let handle, let path):
      if let node = handles[handle], !nodes[node].isFolder {
        for change in nodes[node].pending { Self.apply(change, to: &nodes[node].synced) }
        nodes[node].pending = []
      } else {
        for naming in pendingNames where naming.folder == path { Self.apply(naming, to: &syncedNames) }
        pendingNames.removeAll { $0.folder == path }
      }
    case .makeFolder(let path):
      nodes.append(Node(isFolder: true))
      name(.add(path, nodes.count - 1))
    case .rename(let old, let path): name(.rename(old, path))
    case .remove(let path): name(.remove(path))
    case .print, .read: break
    }
  }

  private mutating func name(_ naming: Naming) {
    Self.apply(naming, to: &names)
    pendingNames.append(naming)
  }

  private mutating func change(_ handle: UInt32, _ change: Change) {
    guard let node = handles[handle] else { return }
    nodes[node].pending.append(change)
  }

  private static func apply(_ change: Change, to content: inout [UInt8]) {
    switch change {
    case .write(let offset, let bytes):
      if content.count < offset + bytes.count { content += [UInt8](repeating: 0, count: offset + bytes.count - content.count) }
      content.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    case .truncate(let size):
      content = Array(content.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - content.count))
    }
  }

  private static func apply(_ naming: Naming, to names: inout [String: Int]) {
    switch naming {
    case .add(let path, let node): names[path] = node
    case .remove(let path): names[path] = nil
    case .rename(let old, let path):
      // A renamed file may not have its first name on disk.
      if let node = names.removeValue(forKey: old) { names[path] = node }
    }
  }

  /// Writes the contents of the disk after a cut.
  /// - Parameter root: The beginning of the recorded paths, and its replacement.
  func write(_ cut: Cut, moving root: (from: String, to: String), using random: inout some RandomNumberGenerator) throws {
    var names = syncedNames
    for naming in pendingNames where cut == .losesContents || cut == .losesNothing || cut == .random && Bool.random(using: &random) {
      // If a file's first name was lost, the rename brings the file along.
      if case .rename(let old, let path) = naming, names[old] == nil, let node = self.names[path] { names[path] = node }
      Self.apply(naming, to: &names)
    }
    let manager = FileManager.default
    for (path, node) in names.sorted(by: { $0.key.count < $1.key.count }) where path != root.from {
      let target = root.to + path.dropFirst(root.from.count)
      // If the name of a folder itself is lost, its contents are too.
      guard manager.fileExists(atPath: URL(fileURLWithPath: target).deletingLastPathComponent().path) else { continue }
      guard !nodes[node].isFolder else {
        try manager.createDirectory(atPath: target, withIntermediateDirectories: false)
        continue
      }
      var content = nodes[node].synced
      for change in nodes[node].pending where cut == .losesNothing || cut == .random && Bool.random(using: &random) {
        Self.apply(change, to: &content)
      }
      // Memory that live processes share is not on disk.
      if !target.hasSuffix("-shm") { try Data(content).write(to: URL(fileURLWithPath: target)) }
    }
  }
}
