import Formats
import Foundation
import TestSupport
import Testing

@Suite struct FolderLockTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func lock(_ patience: FolderLock.Patience = .none) throws -> FolderLock {
    try FolderLock.byFile(folder("lock"), patience: patience)
  }

  @Test func oneHoldsItAtATime() throws {
    var first: FolderLock? = try lock()
    for patience in [FolderLock.Patience.none, .short] {
      #expect(throws: FolderLock.Failure.held) { _ = try lock(patience) }
    }
    first?.hold()
    first = nil
    try lock().hold()
  }

  @Test func aFolderIsLockedWithoutAFile() throws {
    var first: FolderLock? = try FolderLock.ofFolder(folder.path, patience: .endless)
    #expect(throws: FolderLock.Failure.held) { _ = try FolderLock.ofFolder(folder.path, patience: .none) }
    first?.hold()
    first = nil
    try FolderLock.ofFolder(folder.path, patience: .none).hold()
    #expect(throws: FolderLock.Failure.missing) { _ = try FolderLock.ofFolder(folder("nowhere"), patience: .none) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  @Test func whatIsNoFileIsNotLocked() throws {
    #expect(symlink(folder("elsewhere"), folder("lock")) == 0)
    #expect(throws: FolderLock.Failure.self) { _ = try lock() }
    #expect(throws: FolderLock.Failure.failed(reason: "No such file or directory")) {
      _ = try FolderLock.byFile(folder("no/lock"), patience: .none)
    }
    #expect(!FileManager.default.fileExists(atPath: folder("elsewhere")))
  }

  /// Closing a descriptor twice would close one that another thread has opened meanwhile.
  @Test func descriptorsAreClosedOnce() async throws {
    let first = try lock()
    let path = folder("file")
    await withTaskGroup(of: Int.self) { group in
      group.addTask {
        var held = 0
        for _ in 0..<2000 {
          do { _ = try FolderLock.byFile(folder("lock"), patience: .none) } catch { held += 1 }
        }
        return held
      }
      group.addTask {
        var whole = 0
        for _ in 0..<2000 {
          let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
          if write(descriptor, "x", 1) == 1, close(descriptor) == 0 { whole += 1 }
        }
        return whole
      }
      for await count in group { #expect(count == 2000) }
    }
    first.hold()
  }
}
