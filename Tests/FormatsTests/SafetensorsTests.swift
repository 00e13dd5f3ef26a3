import Formats
import Foundation
import TestSupport
import Testing

@Suite struct SafetensorsTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  static let tensors = [
    NamedTensor(
      name: "layer.\"0\"/weight", shape: [2, 3], values: [1, -2, 0.1, .infinity, -0.0, .leastNonzeroMagnitude]),
    NamedTensor(name: "none", shape: [0, 4], values: []),
    NamedTensor(name: "bias", shape: [], values: [7]),
  ]

  /// The error that `body` throws. The test fails if it throws none.
  private func failure(of body: () throws -> some Any) -> SafetensorsError? {
    #expect(throws: SafetensorsError.self) { _ = try body() }
  }

  /// Writes a file of a given header and data.
  func read(_ header: String, _ data: [UInt8] = []) throws -> [NamedTensor] {
    let length = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
    return try Safetensors.read(path: try folder.write(length + Array(header.utf8) + data, to: "made.safetensors"))
  }

  @Test func readsWhatItWrites() throws {
    let path = folder("model.safetensors")
    try Safetensors.write(Self.tensors, metadata: ["order": "backward", "“quote”": "\\\"\n"], to: path)
    #expect(try Safetensors.read(path: path) == Self.tensors)
    let bytes = try folder.read("model.safetensors")
    #expect(bytes[0] % 8 == 0, "the data is aligned to 8 bytes")
    #expect(bytes.count == 8 + Int(bytes[0]) + Int(bytes[1]) << 8 + 7 * 4)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model.safetensors"])
  }

  @Test func readsWithoutTensors() throws {
    let path = folder("empty.safetensors")
    try Safetensors.write([], metadata: [:], to: path)
    #expect(try Safetensors.read(path: path).isEmpty)
  }

  @Test func readsEveryElementType() throws {
    let header = """
      {"__metadata__":{"a":"b"},"half":{"dtype":"F16","shape":[6],"data_offsets":[12,24]},\
      "double":{"dtype":"F64","shape":[1],"data_offsets":[4,12]},\
      "brain":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}
      """
    let brain: [UInt8] = [0x80, 0x3F, 0x49, 0xC0]
    let double = (0..<8).map { UInt8(truncatingIfNeeded: (0.1).bitPattern >> (8 * $0)) }
    // 1, −2, the largest, the smallest normal, the smallest subnormal, −∞
    let half: [UInt8] = [0x00, 0x3C, 0x00, 0xC0, 0xFF, 0x7B, 0x00, 0x04, 0x01, 0x00, 0x00, 0xFC]
    let tensors = try read(header, brain + double + half)
    #expect(tensors.map(\.name) == ["brain", "double", "half"], "in the order of their bytes")
    #expect(tensors[0].values == [1, -3.140625])
    #expect(tensors[1].values == [0.1])
    #expect(tensors[2].values == [1, -2, 65504, 0x1p-14, 0x1p-24, -.infinity])
  }

  @Test func countsComeBackAsWholeNumbers() throws {
    let path = folder("counts.safetensors")
    // Beyond 2²⁴ floats have no odd numbers.
    let counts = NamedTensor(name: "counts", shape: [4], integers: [0, 16_777_217, -3, 1 << 62])
    try Safetensors.write([counts], metadata: [:], to: path)
    #expect(try Safetensors.read(path: path) == [counts])
    #expect(counts.values == [0, 16_777_216, -3, 0x1p62])
  }

  @Test func namesTheTensorItCannotRead() throws {
    func place(_ fields: String, _ data: [UInt8] = []) -> SafetensorsError.Place? {
      failure { try read("{\"t\":{\(fields)}}", data) }?.place
    }
    let tensor = SafetensorsError.Place.tensor("t")
    #expect(place("\"dtype\":\"I16\",\"shape\":[1],\"data_offsets\":[0,2]", [0, 0]) == tensor)
    #expect(place("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]", [0, 0, 0, 0]) == tensor)
    #expect(place("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[4,0]") == tensor)
    #expect(place("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]", [0, 0, 0, 0]) == tensor)
    #expect(place("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]", [UInt8](repeating: 0, count: 8)) == tensor)
    let huge = "4611686018427387904"
    #expect(place("\"dtype\":\"F32\",\"shape\":[\(huge),4],\"data_offsets\":[0,4]") == tensor)
    #expect(place("\"dtype\":\"F32\",\"shape\":[\(huge)],\"data_offsets\":[0,4]") == tensor)
    let tooLarge = (0..<8).map { UInt8(truncatingIfNeeded: (1e300).bitPattern >> (8 * $0)) }
    #expect(place("\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]", tooLarge) == tensor)
  }

  @Test func refusesOverlaps() {
    let header = """
      {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}
      """
    #expect(failure { try read(header, [UInt8](repeating: 0, count: 12)) }?.place == .tensor("b"))
  }

  @Test(arguments: [
    "", "[]", "{", "{\"t\":1}", "{\"t\":{}}", "{\"__metadata__\":{\"a\":1}}",
    "{\"t\":{\"dtype\":\"F32\",\"shape\":[1]}}",
    "{\"t\":{\"dtype\":\"F32\",\"shape\":[0.5],\"data_offsets\":[0,2]}}", "{} x",
    "{\"t\":{\"dtype\":\"F32\",\"shape\":[1e99],\"data_offsets\":[0,4]}}",
    String(repeating: "{\"a\":", count: 100_000),
  ])
  func refusesMalformedHeaders(_ header: String) {
    guard case .byte(let offset) = failure(of: { try read(header) })?.place else {
      Issue.record("no place is named")
      return
    }
    #expect((8...8 + header.utf8.count).contains(offset))
  }

  @Test func refusesWrongLengths() throws {
    let header = "{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"
    #expect(try read(header, [0, 0, 128, 63]).first?.values == [1])
    #expect(failure { try read(header, [0, 0, 128]) }?.isDamaged == true)
    #expect(failure { try read(header, [0, 0, 128, 63, 0]) }?.isDamaged == true)
    let path = try folder.write([UInt8](repeating: 0xFF, count: 100), to: "long.safetensors")
    #expect(failure { try Safetensors.read(path: path) }?.place == .byte(0))
    #expect(failure { try Safetensors.read(path: folder("none")) }?.isMissing == true)
  }

  @Test func neverOverwrites() throws {
    let path = try folder.write("mine", to: "model.safetensors")
    let error = failure { try Safetensors.write(Self.tensors, metadata: [:], to: path) }
    #expect(error == .cannotWrite(path: path, reason: "there is such a file already"))
    #expect(try folder.read("model.safetensors") == Array("mine".utf8))
  }

  @Test func refusesWhatItCannotWrite() {
    for name in ["a", "__metadata__"] {
      let twice = [NamedTensor(name: "a", shape: [], values: [1]), NamedTensor(name: name, shape: [], values: [1])]
      let error = failure { try Safetensors.write(twice, metadata: [:], to: folder("twice")) }
      #expect(error?.description.contains(name) == true)
    }
    let nowhere = failure { try Safetensors.write([], metadata: [:], to: folder("no/such/folder")) }
    #expect(nowhere?.description.contains("can't be written") == true)
  }

  @Test func aTensorsBytesMustFitFileAndMemory() throws {
    let count = 1 << 40
    let text = "{\"t\":{\"dtype\":\"F32\",\"shape\":[\(count)],\"data_offsets\":[0,\(4 * count)]}}"
    let header = (0..<8).map { UInt8(truncatingIfNeeded: text.utf8.count >> (8 * $0)) } + Array(text.utf8)
    #expect(failure { try Safetensors.read(path: try folder.write(header, to: "short")) }?.isDamaged == true)
    let path = try folder.write(header, to: "sparse")
    #expect(truncate(path, off_t(header.count + 4 * count)) == 0)
    let error = failure { try Safetensors.read(path: path) }
    #expect(error?.isTooLarge == true && error?.description.contains("\(4 * count) bytes") == true)
  }

  @Test(arguments: [
    "\u{FEFF}{}", " {}", "{\"t\":T,\"t\":T}", "{\"t\":T,\"\\u0074\":T}", "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}",
    "{\"t\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "{\"\\ud800\":T}", "{\"t\":T,}",
    "{\"t\":{\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]}}", "{\"a\nb\":T}", "{}\u{0}",
  ])
  func theFormatsOwnRulesAreKept(_ header: String) throws {
    let tensor = "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
    let error = failure { try read(header.replacing("T", with: tensor), [0, 0, 0, 0]) }
    guard case .byte = error?.place else {
      Issue.record("\(error.map(String.init(describing:)) ?? "none")")
      return
    }
  }

  @Test func namesMayHoldAnyText() throws {
    let tensor = "{ \"shape\" : [ ] ,\n\"data_offsets\":[0,4],\"dtype\":\"F32\"}"
    let tensors = try read("{\"a\\\"\\u00e9\\ud834\\udd1eß\":\(tensor)}   ", [0, 0, 128, 63])
    #expect(tensors.map(\.name) == ["a\"é𝄞ß"] && tensors.first?.values == [1])
  }

  @Test(.timeLimit(.minutes(1))) func onlyRegularFilesAreOpened() throws {
    let pipe = folder("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    for path in [pipe, "/dev/zero", "/dev/null"] {
      let error = failure { try Safetensors.read(path: path) }
      #expect(error?.isMissing == true && error?.description.contains("not a regular file") == true)
    }
    let error = failure { try Safetensors.read(path: folder.path) }
    #expect(error == .missing(path: folder.path, reason: "is a folder, not a file", remedy: "Name a file in it."))
  }

  /// A user may name a link, which is followed.
  @Test func followsLinks() throws {
    try Safetensors.write(Self.tensors, metadata: [:], to: folder("there"))
    #expect(symlink(folder("there"), folder("link")) == 0)
    #expect(try Safetensors.read(path: folder("link")) == Self.tensors)
  }

  /// Any damage leads to a typed error or to complete tensors.
  @Test func neverFailsOtherwise() throws {
    try Safetensors.write(Self.tensors, metadata: ["a": "b"], to: folder("sound"))
    var refused = 0
    for bytes in damagedCopies(of: try folder.read("sound"), count: 3000) {
      let path = try folder.write(bytes, to: "damaged")
      do { _ = try Safetensors.read(path: path) } catch { refused += 1 }
    }
    #expect(refused > 1500)
  }
}

extension SafetensorsError {
  fileprivate var place: Place? {
    if case .damaged(_, let place, _, _) = self { place } else { nil }
  }

  fileprivate var isMissing: Bool {
    if case .missing = self { true } else { false }
  }

  fileprivate var isDamaged: Bool {
    if case .damaged = self { true } else { false }
  }

  fileprivate var isTooLarge: Bool {
    if case .tooLarge = self { true } else { false }
  }
}
