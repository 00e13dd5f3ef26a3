/// How activations are kept between a network's stages.
public enum ActivationPrecision: String, Sendable, Codable, CaseIterable {
  case float32
  /// Each stage's output is rounded to the 8 significant bits of bfloat16 as soon as it is there, and waits in 16 bits for the backward
  /// pass. All arithmetic is in float32, on the rounded numbers. They are rounded whether they wait or not, so that no bit depends on
  /// what is recomputed. Inputs, what a stage saves besides its output, what the loss gets, gradients and evaluations stay in float32.
  case bfloat16
}
