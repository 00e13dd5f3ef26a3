import Backtrail
import Formats
import Foundation
import Networks
import Tensors
import TestSupport
import Testing

/// Weights of a small GPT-2 that `transformers` has written, in the layouts that files of them have.
/// Tests/Fixtures/make_gpt2.py made the files and describes them.
@Suite struct GPT2WeightTests {
  static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures").path

  static let matrices = ["attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"]

  let folder: TemporaryFolder
  let network: CompiledNetwork
  /// The tensors as `save_pretrained` wrote them.
  let saved: [NamedTensor]

  init() throws {
    folder = try TemporaryFolder()
    network = try Self.network(context: 6)
    saved = try Safetensors.read(path: "\(Self.fixtures)/gpt2-head.safetensors")
  }

  private static func network(context: Int) throws -> CompiledNetwork {
    let model = try ModelSpecification("gpt:layers=2,heads=2,width=8,context=\(context)")
    return try CompiledNetwork(model.network(inputShape: [context], outputs: 11), loss: CrossEntropy(), batchSize: 2)
  }

  /// The tensors of `layout`, by name, after reading a file.
  private func read(_ path: String, _ layout: StateLayout) throws -> [String: [Float]] {
    var state = try StateBuffer(count: layout.count)
    try InitialTensors(path: path).write(to: &state, layout: layout)
    return Dictionary(uniqueKeysWithValues: try layout.tensors.map { ($0.name, try layout.values(of: $0, in: state)) })
  }

  /// What nanoGPT's names should hold: each matrix of a block transposed, and the head a copy of the embedding.
  private func expected(positions: Int = 6) throws -> [String: [Float]] {
    var expected: [String: [Float]] = [:]
    for tensor in saved {
      guard Self.matrices.contains(where: tensor.name.hasSuffix) else {
        expected[tensor.name] = tensor.values
        continue
      }
      let (inputs, outputs) = (tensor.shape[0], tensor.shape[1])
      expected[tensor.name] = (0..<outputs).flatMap { output in (0..<inputs).map { tensor.values[$0 * outputs + output] } }
    }
    expected["lm_head.weight"] = expected["transformer.wte.weight"]
    expected["transformer.wpe.weight"] = Array(try #require(expected["transformer.wpe.weight"]).prefix(positions * 8))
    return expected
  }

  @Test(arguments: ["head", "body", "nanogpt"])
  func everyLayoutHasTheSameTensors(file: String) throws {
    #expect(try read("\(Self.fixtures)/gpt2-\(file).safetensors", network.layout) == expected())
  }

  /// The network computes from them what `transformers` does.
  @Test(arguments: ["head", "body", "nanogpt"])
  func logitsAreThoseOfTransformers(file: String) throws {
    let outputs = Dictionary(
      uniqueKeysWithValues: try Safetensors.read(path: "\(Self.fixtures)/gpt2-outputs.safetensors").map { ($0.name, $0.values) })
    let (tokens, logits) = (try #require(outputs["tokens"]), try #require(outputs["logits"]))
    var state = try StateBuffer(count: network.stateCount)
    try InitialTensors(path: "\(Self.fixtures)/gpt2-\(file).safetensors").write(to: &state, layout: network.layout)
    var workspace = try network.makeWorkspace()
    for (index, token) in tokens.enumerated() { workspace.inputs(rows: 2)[row: index / 6][index % 6] = token }
    let found = try network.outputs(state, rows: 2, workspace: &workspace)
    let largest = try #require(logits.map(abs).max())
    for (index, logit) in logits.enumerated() { #expect(abs(found[row: index / 11][index % 11] - logit) < 1e-5 * largest) }
  }

  /// A model with a smaller context takes the first positions, as one that has been cropped.
  @Test func aSmallerContextTakesTheFirstPositions() throws {
    let layout = try Self.network(context: 4).layout
    for file in ["head", "nanogpt"] {
      #expect(try read("\(Self.fixtures)/gpt2-\(file).safetensors", layout) == expected(positions: 4))
    }
    let larger = try Self.network(context: 7).layout
    let error = #expect(throws: StateMismatch.self) { try read("\(Self.fixtures)/gpt2-head.safetensors", larger) }
    #expect(error?.description.contains("transformer.wpe.weight") == true && error?.description.contains("[7, 8]") == true)
  }

  /// The layout of the network with a head that is tied to the embedding, and so none of its own.
  private var tied: StateLayout {
    var layout = StateLayout()
    for tensor in network.layout.tensors where tensor.name != "lm_head.weight" {
      _ = layout.add(tensor.name, shape: tensor.shape, role: tensor.role, storage: tensor.storage, initialization: .constant(0))
    }
    return layout
  }

  @Test func aTiedHeadIsGivenOnceOrTwiceTheSame() throws {
    var expected = try expected()
    expected["lm_head.weight"] = nil
    for file in ["head", "body", "nanogpt"] { #expect(try read("\(Self.fixtures)/gpt2-\(file).safetensors", tied) == expected) }
    let nano = try Safetensors.read(path: "\(Self.fixtures)/gpt2-nanogpt.safetensors")
    let path = folder("other.safetensors")
    let changed = nano.map { tensor in
      guard tensor.name == "lm_head.weight" else { return tensor }
      return NamedTensor(name: tensor.name, shape: tensor.shape, values: tensor.values.dropLast() + [2])
    }
    try Safetensors.write(changed, metadata: [:], to: path)
    let layout = tied
    let error = #expect(throws: StateMismatch.self) { try read(path, layout) }
    #expect(error?.description.contains("lm_head.weight") == true && error?.description.contains(path) == true)
    var state = try StateBuffer(count: layout.count)
    #expect(throws: StateMismatch.self) { try InitialTensors(changed, origin: "memory").write(to: &state, layout: layout) }
    try InitialTensors(nano, origin: "memory").write(to: &state, layout: layout)
    // A head of its own takes what is given for it.
    #expect(try read(path, network.layout)["lm_head.weight"]?.last == 2)
  }

  /// Tensors in memory and in a file fill a state alike.
  @Test func memoryAndFileAreAlike() throws {
    var states: [[Float]] = []
    for initial in [InitialTensors(saved), try InitialTensors(path: "\(Self.fixtures)/gpt2-head.safetensors")] {
      var state = try StateBuffer(count: network.stateCount)
      try initial.write(to: &state, layout: network.layout)
      states.append((0..<network.stateCount).map { state[$0] })
    }
    #expect(states[0] == states[1])
    #expect(try InitialTensors(saved).digest == InitialTensors(path: "\(Self.fixtures)/gpt2-head.safetensors").digest)
  }

  /// Errors name the tensor as the file does, and the file.
  @Test func whatDoesNotFitIsNamed() throws {
    func error(_ name: String, _ change: (NamedTensor) -> [NamedTensor]) throws -> String {
      let path = folder("bad-\(UUID().uuidString).safetensors")
      let tensors = saved.flatMap { $0.name == name ? change($0) : [$0] }
      try Safetensors.write(tensors, metadata: [:], to: path)
      let error = #expect(throws: StateMismatch.self) { try read(path, network.layout) }
      let text = try #require(error).description
      #expect(text.contains(path))
      return text
    }
    func reshaped(_ tensor: NamedTensor, _ shape: [Int]) -> NamedTensor {
      NamedTensor(name: tensor.name, shape: shape, values: [Float](repeating: 0, count: shape.reduce(1, *)))
    }
    let (bias, weight) = ("transformer.h.1.mlp.c_fc.bias", "transformer.h.1.mlp.c_fc.weight")
    #expect(try error(bias) { _ in [] }.contains("lacks the tensor \(bias)"))
    #expect(try error(bias) { [reshaped($0, [31])] }.contains("\(bias) has the shape [31]"))
    // One matrix the other way round.
    let turned = try error(weight) { [reshaped($0, [32, 8])] }
    #expect(turned.contains("\(weight) has the shape [32, 8]") && turned.contains("[8, 32]") && turned.contains("Hugging Face"))
    let more = try error(bias) { [$0, reshaped(NamedTensor(name: "transformer.h.2.ln_1.weight", shape: [1], values: [1]), [1])] }
    #expect(more.contains("has tensors this model has not: transformer.h.2.ln_1.weight"))
    let twice = try error(bias) { [$0, NamedTensor(name: "h.1.mlp.c_fc.bias", shape: $0.shape, values: $0.values)] }
    #expect(twice.contains("h.1.mlp.c_fc.bias") && twice.contains("twice"))
    #expect(try error("transformer.h.0.attn.c_attn.weight") { [reshaped($0, [8, 25])] }.contains("[8, 25]"))
    #expect(try error("transformer.wte.weight") { [reshaped($0, [12, 8])] }.contains("transformer.wte.weight has the shape [12, 8]"))
  }

  /// A file that changes between being opened and being used is noticed.
  @Test func aChangedFileIsAnError() throws {
    let path = try folder.write(try Array(Data(contentsOf: URL(fileURLWithPath: "\(Self.fixtures)/gpt2-head.safetensors"))), to: "f.safetensors")
    let initial = try InitialTensors(path: path)
    var state = try StateBuffer(count: network.stateCount)
    try initial.write(to: &state, layout: network.layout)
    let handle = try #require(FileHandle(forUpdatingAtPath: path))
    try handle.seek(toOffset: UInt64(try folder.read("f.safetensors").count - 1))
    try handle.write(contentsOf: [0x41])
    #expect(throws: StorageError.self) { try initial.write(to: &state, layout: network.layout) }
  }
}
