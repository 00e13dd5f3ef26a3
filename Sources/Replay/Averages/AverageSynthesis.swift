/// An average over a path, computed afterwards from other averages over the same path. It is the linear combination
/// whose weights are nearest to the wanted ones by least squares, among combinations whose weights sum to 1 (Karras
/// et al. 2024, arXiv 2312.02696, section 3.2, where the sum is free).
public struct AverageSynthesis: Sendable {
  /// The factors of the averages in the basis. They sum to 1.
  public let coefficients: [Double]
  /// ‖w − v‖ / ‖w‖, where w are the wanted weights and v those of the combination.
  public let distance: Double

  /// A coefficient c brings c times the rounding error of its average into the combination, so large ones are
  /// penalized: a coefficient of 1000 counts as much as a distance of 0.01.
  private static let penalty = 1e-10
  /// An average is left out if its weights are a combination of earlier ones up to this fraction of their squared
  /// norm.
  private static let dependence = 1e-12

  /// - Parameter basis: The available averages: at least one, each over `wanted.n` states or fewer.
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

  /// Inner products of the weights, from which the least squares follow.
  private struct Products {
    var gram: [Double]
    var targets: [Double]
    var norm = 0.0

    init(_ wanted: AverageWeights, _ basis: [AverageWeights]) {
      let count = basis.count
      gram = [Double](repeating: 0, count: count * count)
      targets = [Double](repeating: 0, count: count)
      // States are processed in blocks, so that memory does not grow with the length of the path.
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

/// The factor L with L Lᵀ = G + d I, without the rows and columns that depend on earlier ones.
private struct CholeskyFactor {
  private let count: Int
  private var rows: [[Double]]
  private var isKept: [Bool]

  /// - Parameter gram: The lower triangle of G, row by row.
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

  /// Solves (G + d I) x = `right`; x is 0 in rows that are left out.
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
