import Foundation
import Tensors
public struct CheckpointHeader { public let updateCount: Int; public let digest: Digest; public let fileBytes: Int }
public enum CheckpointFile {
  static func write(_ state: borrowing StateBuffer, updateCount: Int, to path: String) throws(StorageError) -> CheckpointHeader {
    var a = [Float](repeating: 0, count: state.count); for i in 0..<state.count { a[i] = state[i] }
    var d = a.withUnsafeBytes { Data($0) }; var n = Int64(updateCount); d.append(Data(bytes: &n, count: 8))
    do { try d.write(to: URL(fileURLWithPath: path), options: .atomic) } catch { throw .failed(path: path, reason: "\(error)") }
    return CheckpointHeader(updateCount: updateCount, digest: Digest(of: state, updateCount: updateCount), fileBytes: d.count)
  }
  static func read(_ path: String, into state: inout StateBuffer) throws(StorageError) -> CheckpointHeader {
    guard let d = FileManager.default.contents(atPath: path), d.count == state.count*4+8 else { throw .damaged(path: path, reason: "x") }
    d.withUnsafeBytes { p in for i in 0..<state.count { state[i] = p.loadUnaligned(fromByteOffset: i*4, as: Float.self) } }
    let n = d.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: d.count-8, as: Int64.self)) }
    return CheckpointHeader(updateCount: n, digest: Digest(of: state, updateCount: n), fileBytes: d.count)
  }
  static func verify(_ path: String) throws(StorageError) {}
}
