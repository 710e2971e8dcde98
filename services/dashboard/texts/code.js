// Texts of the view Code.

export default {
  "code.title": ["The same network in every framework", "同一网络在各框架中的代码"],
  "code.intro": ["These files have the same functions in the same order. Marked lines explain where the frameworks differ. A number beside a section counts its differences.", "这些文件按相同顺序包含相同的函数。标记的行说明各框架的不同之处，章节旁的数字是不同之处的数量。"],
  "code.empty": ["This installation contains no source file of a backend", "此安装不含任何后端源文件"],
  "code.contents": ["Sections", "章节"],
  "code.differences": ["{count} differences", "{count} 处不同"],
  "code.show": ["Files to show", "显示的文件"],
  "code.side-by-side": ["Side by side", "并排"],
  "code.caption": ["Code: {section}", "代码：{section}"],
  "code.section-imports-and-configuration": ["Imports and configuration", "导入与配置"],
  "code.section-load-the-data": ["Load the data", "加载数据"],
  "code.section-define-the-network": ["Define the network", "定义网络"],
  "code.section-define-the-optimiser-and-the-loss": ["Define the optimiser and the loss", "定义优化器与损失"],
  "code.section-train": ["Train", "训练"],
  "code.section-evaluate": ["Evaluate", "评估"],
  "code.section-save-and-serve": ["Save, and serve", "保存与服务"],
};
