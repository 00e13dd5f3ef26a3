import Tensors

/// Which of given tensors fills which tensor of a state.
///
/// Names and shapes are those of the layout, or for a model with GPT-2's blocks those of GPT-2's weights in either of two
/// layouts. Both have the names of nanoGPT, and the first weight of a block, `attn.c_attn.weight`, tells them apart:
///
/// - nanoGPT's (https://github.com/karpathy/nanoGPT) is outputs × inputs, as the layout's is;
/// - Hugging Face's (`modeling_gpt2.py` of https://github.com/huggingface/transformers) is inputs × outputs, as are all
///   four matrices of a block. The prefix `transformer.` may be missing.
///
/// In both, the masks `attn.bias` and `attn.masked_bias` are no weights and are passed over. Where `lm_head.weight` is
/// missing it is tied to `wte.weight`: a model with a head of its own starts with a copy, and where the model's is tied, the
/// two must be equal if both are given. A model with a smaller context than the positions given takes the first of them.
struct TensorMatching {
  struct Given: Equatable {
    let name: String
    let shape: [Int]
  }

  struct Target {
    /// The index of the given tensor.
    let given: Int
    let tensor: StateLayout.Tensor
    /// Whether the given tensor is the transposed of the layout's.
    var isTransposed = false

    /// The number of values that are taken, from the first on.
    var count: Int { tensor.region.count }
  }

  /// Two given tensors that must be equal.
  struct Copy: Equatable {
    /// The indices of `lm_head.weight` and `wte.weight`.
    let head: Int
    let embedding: Int

    func mismatch(in origin: String) -> StateMismatch {
      StateMismatch(
        "\(origin): lm_head.weight is not equal to wte.weight, to which it is tied in this model; take a model with a head of its own")
    }
  }

  /// One for each tensor of the layout, in the layout's order.
  private(set) var targets: [Target] = []
  /// The given head, which must be a copy of the embedding, if the model's head is tied; nil if none is given.
  private(set) var copy: Copy?

  /// - Parameter origin: Where the tensors come from, for messages.
  /// - Throws: `StateMismatch`, naming the tensor and the origin, if a tensor is missing, unknown or of another shape.
  init(of given: [Given], with layout: StateLayout, from origin: String) throws(StateMismatch) {
    let names = GPT2Names(given, layout: layout)
    var indices: [String: Int] = [:]
    for (index, tensor) in given.enumerated() {
      guard let name = names.map({ $0.name(of: tensor) }) ?? tensor.name else { continue }
      if let other = indices.updateValue(index, forKey: name) {
        throw StateMismatch("\(origin) has one tensor twice, as \(given[other].name) and as \(tensor.name)")
      }
    }
    let known = Set(layout.tensors.map(\.name))
    if names != nil, let embedding = indices[GPT2Names.embedding] {
      if !known.contains(GPT2Names.head), let head = indices.removeValue(forKey: GPT2Names.head) {
        copy = Copy(head: head, embedding: embedding)
      } else if known.contains(GPT2Names.head), indices[GPT2Names.head] == nil {
        indices[GPT2Names.head] = embedding
      }
    }
    let unknown = indices.filter { !known.contains($0.key) && !layout.counters.contains($0.key) }.map { given[$0.value].name }
    guard unknown.isEmpty else {
      throw StateMismatch("\(origin) has tensors this model has not: \(unknown.sorted().joined(separator: ", "))")
    }
    for tensor in layout.tensors {
      guard let index = indices[tensor.name] else {
        throw StateMismatch("\(origin) lacks the tensor \(tensor.name) of shape \(tensor.shape)")
      }
      let isTransposed = names?.isTransposed(tensor.name) ?? false
      let wanted = isTransposed ? tensor.shape.reversed() : tensor.shape
      let shape = given[index].shape
      guard shape == wanted || names != nil && GPT2Names.isLonger(shape, than: wanted, name: tensor.name) else {
        throw StateMismatch(
          """
          \(origin): the tensor \(given[index].name) has the shape \(shape), but this model's has \(wanted)\
          \(isTransposed ? ", inputs first as Hugging Face stores it" : "")
          """)
      }
      targets.append(Target(given: index, tensor: tensor, isTransposed: isTransposed))
    }
  }
}

/// The names of GPT-2's weights in files.
private struct GPT2Names {
  static let prefix = "transformer."
  static let head = "lm_head.weight"
  static let embedding = "transformer.wte.weight"
  private static let positions = "transformer.wpe.weight"
  private static let firstWeight = "transformer.h.0.attn.c_attn.weight"
  private static let matrices = ["attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"]

  /// Whether the matrices of blocks are inputs × outputs.
  private let isInputsFirst: Bool

  /// - Returns: Nil if the layout or the tensors are not GPT-2's.
  init?(_ given: [TensorMatching.Given], layout: StateLayout) {
    guard layout.tensors.contains(where: { $0.name == Self.firstWeight }),
      let weight = given.first(where: { Self.canonical($0.name) == Self.firstWeight })
    else { return nil }
    isInputsFirst = weight.shape.count == 2 && weight.shape[1] == 3 * weight.shape[0]
  }

  private static func canonical(_ name: String) -> String {
    name.hasPrefix(prefix) || name == head ? name : prefix + name
  }

  /// The name in the layout; nil for a mask, which is no weight.
  func name(of tensor: TensorMatching.Given) -> String? {
    let isMask = tensor.name.hasSuffix(".attn.bias") && tensor.shape.count == 4 && tensor.shape[2] == tensor.shape[3]
    return isMask || tensor.name.hasSuffix(".attn.masked_bias") ? nil : Self.canonical(tensor.name)
  }

  func isTransposed(_ name: String) -> Bool {
    isInputsFirst && name.hasPrefix("transformer.h.") && Self.matrices.contains { name.hasSuffix(".\($0)") }
  }

  /// Whether these are positions of which the model takes the first.
  static func isLonger(_ shape: [Int], than wanted: [Int], name: String) -> Bool {
    name == positions && shape.count == 2 && wanted.count == 2 && shape[0] > wanted[0] && shape[1] == wanted[1]
  }
}
