import Runs
extension RunConfiguration {
  /// The flags of `train` that make this run again: those whose values are not the defaults.
  ///
  /// A run that was extended and whose learning rate follows a schedule is the run it was made as, and then extended again.
  /// - Parameter initialState: a file to start from in place of what `initial` names, which may be gone by now.
  public func options(initialState: String? = nil) -> [(flag: String, value: String)] {
    asked(initialState: initialState).flatMap { key, texts in texts.map { (key, $0) } }
  }

  /// What has to be given, by setting.
  fileprivate func asked(initialState: String? = nil) -> [(key: String, texts: [String])] {
    var asked = self
    if self.initial != nil, let initialState { asked.initial = initialState }
    if isExtended { asked.steps = scheduleSteps }
    return SettingsTable.all.map { ($0.key, $0.texts(of: asked)) }.filter { !$0.1.isEmpty }
  }
}

extension RunSettings {
  /// What makes a run of this configuration.
  public init(_ configuration: RunConfiguration) throws(RunError) {
    self.init()
    for (key, texts) in configuration.asked() {
      self = completed(by: try RunSettings(key, texts))
    }
  }
}
