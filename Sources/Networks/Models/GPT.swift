import Tensors

extension ModelFamily {
  /// A transformer that predicts the next character: GPT-2's blocks (Radford et al. 2019) with learned positions and a head
  /// of its own, under nanoGPT's names.
  static let gpt = ModelFamily(
    name: "gpt",
    form: "gpt[:layers=4,heads=4,width=128,context=64,dropout=0] (for text; heads must divide width)"
  ) { options in
    guard let shape = GPTShape(options) else { return nil }
    return (shape.context, { inputShape, outputs throws(NetworkError) in
      guard inputShape == [shape.context] else {
        throw .shape("gpt needs windows of \(shape.context) characters, not examples of shape \(inputShape)")
      }
      return shape.layers(vocabulary: outputs)
    })
  }
}

/// The sizes in a specification such as `layers=4,heads=4,width=128,context=64`.
private struct GPTShape {
  var layers = 4
  var heads = 4
  var width = 128
  var context = 64
  var dropout = 0.0

  /// - Returns: nil where an option is unknown, given twice or out of range.
  init?(_ options: String?) {
    var seen: Set<String> = []
    for option in options?.split(separator: ",", omittingEmptySubsequences: false) ?? [] {
      let parts = option.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, seen.insert(parts[0]).inserted else { return nil }
      if parts[0] == "dropout" {
        guard let probability = Double(parts[1]), (0..<1).contains(probability) else { return nil }
        dropout = probability
        continue
      }
      guard let number = Int(parts[1]), (1...65_536).contains(number) else { return nil }
      switch parts[0] {
      case "layers": layers = number
      case "heads": heads = number
      case "width": width = number
      case "context": context = number
      default: return nil
      }
    }
    // Each layer drops in three places, and each place has a number below 2¹².
    guard width.isMultiple(of: heads), layers <= 1024 else { return nil }
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
    Dense(vocabulary, perPosition: true, bias: false, initialization: normal).named("lm_head")
  }
}
