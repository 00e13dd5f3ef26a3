import Runs
extension RunConfiguration {
  /// The options of `train` that make this run again: those whose values are not the defaults.
  ///
  /// A run that was extended and whose learning rate follows a schedule is made again with its original steps, and
  /// must then be extended again.
  /// - Parameter initialState: A file to start from instead of what `initial` names, which may no longer exist.
  public func options(initialState: String? = nil) -> [(flag: String, value: String)] {
    asked(initialState: initialState).flatMap { key, texts in texts.map { (key, $0) } }
  }

  /// The texts that must be given for each setting.
  fileprivate func asked(initialState: String? = nil) -> [(key: String, texts: [String])] {
    var asked = self
    if self.initial != nil, let initialState { asked.initial = initialState }
    if isExtended { asked.steps = scheduleSteps }
    return SettingsTable.all.map { ($0.key, $0.texts(of: asked)) }.filter { !$0.1.isEmpty }
  }
}

extension RunSettings {
  /// Makes the settings of a run with this configuration.
  public init(_ configuration: RunConfiguration) throws(RunError) {
    self.init()
    for (key, texts) in configuration.asked() {
      self = completed(by: try RunSettings(key, texts))
    }
  }
}
