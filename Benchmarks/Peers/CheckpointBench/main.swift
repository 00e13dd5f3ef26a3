import Formats
import Foundation
import Tensors

// Size and speed of checkpoints, one thread, through the public interface: checksums, the state's digest, and the file
// itself are in the times. Name a folder in memory (/dev/shm) to leave the disk out.
//
//     checkpoint-bench FOLDER PARENT.safetensors STATE.safetensors …

guard CommandLine.arguments.count >= 3 else {
  FileHandle.standardError.write(Data("usage: checkpoint-bench FOLDER PARENT.safetensors [STATE.safetensors …]\n".utf8))
  exit(64)
}
let folder = CommandLine.arguments[1]
let parentPath = CommandLine.arguments[2]

func load(_ path: String) throws -> FloatBuffer {
  let values = try Safetensors.read(path: path).flatMap(\.values)
  var state = try FloatBuffer(count: values.count)
  state.mutableVector.copy(floats: values.span)
  return state
}

/// The least seconds of many attempts: what the work takes when nothing else disturbs it.
func time(_ body: () throws -> Void) rethrows -> Double {
  let clock = ContinuousClock()
  var least = Duration.seconds(1e6)
  for _ in 0..<41 { least = try min(least, clock.measure(body)) }
  return Double(least.components.seconds) + Double(least.components.attoseconds) * 1e-18
}

func name(_ path: String) -> String { URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent }

func printRow(
  _ stored: String, _ level: Int, _ precision: CheckpointPrecision, _ bytes: Int, _ raw: Int, _ encode: Double,
  _ decode: Double
) {
  let ratio = String(format: "%.4f", Double(bytes) / Double(raw))
  let speeds = [encode, decode].map { String(Int(Double(raw) / $0 / 1e6)) }
  print("| \(stored) | \(precision) | \(level) | \(ratio) | \(speeds[0]) | \(speeds[1]) |")
}

let parent = try load(parentPath)
let raw = parent.count * MemoryLayout<Float>.stride
let parentDigest = try Digest(of: parent, updateCount: 0)
let path = folder + "/checkpoint-bench.ckpt"
defer { try? FileManager.default.removeItem(atPath: path) }
let cases: [(CheckpointPrecision, Int)] = [
  (.float32, 1), (.float32, 3), (.float32, 9), (.float32, 19), (.bfloat16, 1), (.float16, 1),
]

print("| stored | precision | level | bytes / raw | encode MB/s | decode MB/s |")
print("| --- | --- | --- | --- | --- | --- |")
for (precision, level) in cases {
  let options = CheckpointOptions(level: level, sections: [.init(count: parent.count, precision: precision)])
  let encode = try time { try CheckpointFile.write(parent, updateCount: 0, options: options, to: path) }
  var decoded = try FloatBuffer(count: parent.count)
  let decode = try time { try CheckpointFile.read(path, into: &decoded) }
  let bytes = try CheckpointFile.readHeader(path).byteCount
  printRow("\(name(parentPath)) alone", level, precision, bytes, raw, encode, decode)
}
for statePath in CommandLine.arguments.dropFirst(3) {
  let state = try load(statePath)
  for (precision, level) in cases {
    let options = CheckpointOptions(level: level, sections: [.init(count: parent.count, precision: precision)])
    let encode = try time {
      try CheckpointFile.write(
        state, updateCount: 0, parent: parent, parentDigest: parentDigest, options: options, to: path)
    }
    var decoded = try FloatBuffer(count: parent.count)
    // Decoding overwrites the parent, so the copy is timed too, and taken off.
    let copy = try time { try decoded.copy(from: parent) }
    let both = try time {
      try decoded.copy(from: parent)
      try CheckpointFile.read(path, into: &decoded)
    }
    let bytes = try CheckpointFile.readHeader(path).byteCount
    printRow("\(name(statePath)) from \(name(parentPath))", level, precision, bytes, raw, encode, both - copy)
  }
}
