import Tensors

extension ModelFamily {
  /// A transformer that predicts the next character: GPT-2's blocks (Radford et al. 2019) with learned positions and a head
  /// of its own, under nanoGPT's names.
  static let gpt = transformer(
    "gpt", form: "gpt[:layers=4,heads=4,width=128,context=64,dropout=0] (for text and tokens; heads must divide width)",
    GPTShape(), options: ["layers", "heads", "width", "context", "dropout"])

  /// GPT-2 in its four sizes (Radford et al. 2019), with the head tied to the embedding and nanoGPT's names.
  static let gpt2 = [
    gpt2("gpt2", layers: 12, heads: 12, width: 768), gpt2("gpt2-medium", layers: 24, heads: 16, width: 1024),
    gpt2("gpt2-large", layers: 36, heads: 20, width: 1280), gpt2("gpt2-xl", layers: 48, heads: 25, width: 1600),
  ]

  private static func gpt2(_ name: String, layers: Int, heads: Int, width: Int) -> ModelFamily {
    transformer(
      name, form: "\(name)[:context=1024,dropout=0]",
      GPTShape(layers: layers, heads: heads, width: width, context: 1024, isTied: true), options: ["context", "dropout"])
  }

  private static func transformer(_ name: String, form: String, _ whole: GPTShape, options known: Set<String>) -> ModelFamily {
    ModelFamily(name: name, form: form) { options in
      guard let shape = whole.with(options, among: known) else { return nil }
      return (shape.context, { inputShape, outputs throws(NetworkError) in
        guard inputShape == [shape.context] else {
          throw .shape("\(name) needs windows of \(shape.context) tokens, not examples of shape \(inputShape)")
        }
        return shape.layers(vocabulary: outputs)
      })
    }
  }
}

/// The sizes in a specification such as `layers=4,heads=4,width=128,context=64`.
private struct GPTShape {
  var layers = 4
  var heads = 4
  var width = 128
  var context = 64
  var dropout = 0.0

  /// Whether the head shares the embedding's matrix.
  var isTied = false

  /// The sizes with what options say, such as `layers=4,context=64`.
  /// - Returns: nil where an option is unknown, given twice or out of range.
  func with(_ options: String?, among known: Set<String>) -> GPTShape? {
    var shape = self
    var seen: Set<String> = []
    for option in options?.split(separator: ",", omittingEmptySubsequences: false) ?? [] {
      let parts = option.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, known.contains(parts[0]), seen.insert(parts[0]).inserted else { return nil }
      if parts[0] == "dropout" {
        guard let probability = Double(parts[1]), (0..<1).contains(probability) else { return nil }
        shape.dropout = probability
        continue
      }
      guard let number = Int(parts[1]), (1...65_536).contains(number) else { return nil }
      switch parts[0] {
      case "layers": shape.layers = number
      case "heads": shape.heads = number
      case "width": shape.width = number
      default: shape.context = number
      }
    }
    // Each layer drops in three places, and each place has a number below 2¹².
    guard shape.width.isMultiple(of: shape.heads), shape.layers <= 1024 else { return nil }
    return shape
  }

  @LayerBuilder func layers(vocabulary: Int) -> [NamedLayer] {
    let normal = StateLayout.Initialization.normal(deviation: 0.02)
    // Every block adds twice to the stream; this keeps the sum's size.
    let residual = StateLayout.Initialization.normal(deviation: 0.02 / Float(2 * layers).squareRoot())
    let drop = dropout > 0 ? [Dropout(dropout).named("drop")] : []
    Embedding(vocabulary: vocabulary, width: width).named("transformer")
    drop
    for index in 0..<layers {
      Residual {
        LayerNormalization().named("ln_1")
        Dense(3 * width, perPosition: true, initialization: normal).named("attn.c_attn")
        CausalSelfAttention(heads: heads).named("attn")
        Dense(width, perPosition: true, initialization: residual).named("attn.c_proj")
        drop
      }.named("transformer.h.\(index)")
      Residual {
        LayerNormalization().named("ln_2")
        Dense(4 * width, perPosition: true, initialization: normal).named("mlp.c_fc")
        GELU().named("mlp.gelu")
        Dense(width, perPosition: true, initialization: residual).named("mlp.c_proj")
        drop
      }.named("transformer.h.\(index)")
    }
    LayerNormalization().named("transformer.ln_f")
    if isTied {
      TiedHead(to: "transformer.wte.weight", vocabulary: vocabulary).named("lm_head")
    } else {
      Dense(vocabulary, perPosition: true, bias: false, initialization: normal).named("lm_head")
    }
  }
}
