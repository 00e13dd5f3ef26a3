import CKernels
import Foundation

/// The file in which pages wait. It has no name, so that nothing of it is left when its process ends, however it ends.
///
/// All its space is reserved at the beginning: a full disk is an error there, and not in the middle of a run. It passes over the
/// page cache where the file system lets it, since a container counts the cache as the memory of its processes.
struct PageFile: ~Copyable {
  private let folder: String
  private let descriptor: Int32
  private let isDirect: Bool

  /// - Parameter byteCount: The length of the file, a multiple of the page's.
  init(in folder: String, byteCount: Int) throws(PagingError) {
    var isDirect: Int32 = 0
    let made = ck_make_page_file(folder, Int64(byteCount), &isDirect)
    guard made >= 0 else { throw .cannotMake(folder: folder, reason: Self.words(-made)) }
    self.folder = folder
    descriptor = made
    self.isDirect = isDirect != 0
  }

  deinit { close(descriptor) }

  /// Gives the file's space back. Nothing is read or written any more.
  func empty() { _ = ftruncate(descriptor, 0) }

  /// Writes whole pages.
  /// - Parameter offset: Where they begin in the file, in bytes.
  func write(_ pages: UnsafeRawBufferPointer, at offset: Int) throws(PagingError) {
    try transfer(pages.count) { (done) in
      let rest = UnsafeRawBufferPointer(rebasing: pages[done...])
      return pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
    }
    guard !isDirect else { return }
    let code = ck_drop_from_cache(descriptor, Int64(offset), Int64(pages.count))
    guard code == 0 else { throw .failed(folder: folder, reason: Self.words(-code)) }
  }

  /// Reads whole pages.
  func read(into pages: UnsafeMutableRawBufferPointer, at offset: Int) throws(PagingError) {
    try transfer(pages.count) { done in
      let rest = UnsafeMutableRawBufferPointer(rebasing: pages[done...])
      return pread(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
    }
    if !isDirect { _ = ck_drop_from_cache(descriptor, Int64(offset), Int64(pages.count)) }
  }

  /// Calls `step` with the bytes done so far until `count` are done.
  private func transfer(_ count: Int, _ step: (_ done: Int) -> Int) throws(PagingError) {
    var done = 0
    var isRetried = false
    while done < count {
      let step = step(done)
      if step > 0 {
        done += step
      } else if step == 0 {
        throw .failed(folder: folder, reason: "the file ended after \(done) of \(count) bytes")
      } else if errno == EINVAL, isDirect, !isRetried {
        // Some file systems take the flag and refuse what it is for; and what is left of a short transfer may not be aligned.
        isRetried = true
        guard ck_use_page_cache(descriptor) == 0 else { throw .failed(folder: folder, reason: Self.words(EINVAL)) }
      } else if errno != EINTR {
        throw .failed(folder: folder, reason: Self.words(errno))
      }
    }
  }

  private static func words(_ code: Int32) -> String { String(cString: strerror(code)) }
}
