/// Observes iterates when the engine reaches them.
public protocol IterateObserver: Sendable {
  /// The workspace of the update map. Updates do not depend on what is left in it, so its memory can serve
  /// observations too.
  associatedtype Workspace: ~Copyable

  /// Whether a path ends where it diverges: at a state with a number that is not finite, or at one for which `observe` throws
  /// `IterateDiverged`. What would come of that state is then not computed, and `observeDivergence` is called for its iterates
  /// instead. False by default: everything is computed and observed.
  var endsDivergedPaths: Bool { get }

  /// Called on the lane that reached the iterate. An error stops the replay, but for `IterateDiverged` where diverged paths end.
  /// - Parameters:
  ///   - iterates: The iterates that this state is. Orders that apply the same batches meet in one state.
  ///   - replica: The plan's replica that the state belongs to.
  func observe(
    _ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Workspace) throws

  /// Called when a replica's running average by rule number `index` of the engine has reached iterate n of forward
  /// order.
  func observeAverage(
    _ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Workspace) throws

  /// Called for iterates whose state has diverged, or comes of one that has. Where paths share no computation any more, such as
  /// after a restored state, a path may be followed although an iterate on it has diverged.
  func observeDivergence(_ iterates: [Iterate], replica: Int) throws

  /// The same for a running average at iterate n: it, or an iterate that it averages, has diverged.
  func observeAverageDivergence(_ index: Int, n: Int, replica: Int) throws
}

/// Thrown by an observer whose iterates have diverged in its judgement, though their state may be finite.
public struct IterateDiverged: Error {
  public init() {}
}

extension IterateObserver {
  public var endsDivergedPaths: Bool { false }
  public func observeDivergence(_ iterates: [Iterate], replica: Int) throws {}
  public func observeAverageDivergence(_ index: Int, n: Int, replica: Int) throws {}

  /// By default running averages are not observed.
  public func observeAverage(
    _ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Workspace) throws {}
}
