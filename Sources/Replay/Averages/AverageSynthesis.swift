/// An average of a path made afterwards from others of the same path: the linear combination whose weights come nearest to
/// those wanted, by least squares, among combinations whose weights sum to 1 (Karras et al. 2024, arXiv 2312.02696, section
/// 3.2; there the sum is left free).
public struct AverageSynthesis: Sendable {
  /// What each average of the basis is multiplied with. They sum to 1.
  public let coefficients: [Double]
  /// ‖w − v‖ / ‖w‖ between the wanted weights w and those of the combination, v.
  public let distance: Double

  /// A coefficient c brings c times the rounding error of its average into the combination, so the least squares pay for
  /// large ones: one of 1000 as much as a distance of 0.01.
  private static let penalty = 1e-10
  /// An average whose weights are, but for so much of their square, a combination of those before it is left out.
  private static let dependence = 1e-12

  /// - Parameters:
  ///   - wanted: the weights that are to be come near to.
  ///   - basis: not empty; of `wanted.n` states or fewer.
  public init(_ wanted: AverageWeights, from basis: [AverageWeights]) {
    precondition(!basis.isEmpty && basis.allSatisfy { $0.n <= wanted.n }, "an average is made of averages of its states")
    if let place = basis.firstIndex(of: wanted) {
      coefficients = basis.indices.map { $0 == place ? 1 : 0 }
      distance = 0
      return
    }
    // G c = h + μ 1 with 1ᵀ c = 1: the solution is x + y (1 − 1ᵀx) / 1ᵀy with G x = h and G y = 1.
    let products = Products(wanted, basis)
    let factor = CholeskyFactor(
      products.gram, count: basis.count, diagonal: Self.penalty * products.norm, dependence: Self.dependence)
    let x = factor.solve(products.targets)
    let y = factor.solve(basis.map { _ in 1 })
    let correction = (1 - x.reduce(0, +)) / y.reduce(0, +)
    let coefficients = zip(x, y).map { $0 + correction * $1 }
    self.coefficients = coefficients
    var squares = 0.0
    for i in 1...wanted.n {
      let found = zip(coefficients, basis).reduce(0) { $1.0 == 0 ? $0 : $0 + $1.0 * $1.1[i] }
      squares += (found - wanted[i]) * (found - wanted[i])
    }
    distance = (squares / products.norm).squareRoot()
  }

  /// Inner products of weights.
  private struct Products {
    var gram: [Double]
    var targets: [Double]
    var norm = 0.0

    init(_ wanted: AverageWeights, _ basis: [AverageWeights]) {
      let count = basis.count
      gram = [Double](repeating: 0, count: count * count)
      targets = [Double](repeating: 0, count: count)
      // A block of states at a time, so that memory does not go with the length of the path.
      for start in stride(from: 1, through: wanted.n, by: 1024) {
        let states = start...min(start + 1023, wanted.n)
        let goal = states.map { wanted[$0] }
        let columns = basis.map { weights in states.map { weights[$0] } }
        norm += Self.dot(goal, goal)
        for a in 0..<count {
          targets[a] += Self.dot(columns[a], goal)
          for b in 0...a { gram[a * count + b] += Self.dot(columns[a], columns[b]) }
        }
      }
    }

    private static func dot(_ a: [Double], _ b: [Double]) -> Double {
      var sum = 0.0
      for index in a.indices { sum += a[index] * b[index] }
      return sum
    }
  }
}

/// L with L Lᵀ = G + d I, the rows and columns left out that depend on those before.
private struct CholeskyFactor {
  private let count: Int
  private var rows: [[Double]]
  private var isKept: [Bool]

  /// - Parameter gram: G's lower triangle, row by row.
  init(_ gram: [Double], count: Int, diagonal: Double, dependence: Double) {
    self.count = count
    rows = Array(repeating: [Double](repeating: 0, count: count), count: count)
    isKept = Array(repeating: false, count: count)
    for a in 0..<count {
      for b in 0..<a where isKept[b] {
        let rest = (0..<b).reduce(gram[a * count + b]) { $0 - rows[a][$1] * rows[b][$1] }
        rows[a][b] = rest / rows[b][b]
      }
      let square = gram[a * count + a] + diagonal
      let pivot = (0..<a).reduce(square) { $0 - rows[a][$1] * rows[a][$1] }
      isKept[a] = pivot > dependence * square
      if isKept[a] { rows[a][a] = pivot.squareRoot() }
    }
  }

  /// 0 where a row is left out.
  func solve(_ right: [Double]) -> [Double] {
    var x = right
    for a in 0..<count {
      x[a] = isKept[a] ? (0..<a).reduce(x[a]) { isKept[$1] ? $0 - rows[a][$1] * x[$1] : $0 } / rows[a][a] : 0
    }
    for a in (0..<count).reversed() where isKept[a] {
      x[a] = (a + 1..<count).reduce(x[a]) { isKept[$1] ? $0 - rows[$1][a] * x[$1] : $0 } / rows[a][a]
    }
    return x
  }
}
